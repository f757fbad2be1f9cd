"""The ``cryoseg-tf`` command group.

Commands are imported when they are run: TensorFlow takes seconds to load, and
``cryoseg-tf --help`` should not.
"""

import os
import re
import sys
from importlib import import_module

import click

from cryoseg_tf import __version__
from cryoseg_tf.errors import CryoSegError
from cryoseg_tf.io.atomic import explain

COMMANDS = {
    "demo": "Run everything once on a phantom: data, fit, evaluate, segment, export, report.",
    "phantom": "Write synthetic annotated micrographs.",
    "info": "Say what image files state about themselves: size, pixel size, data bar, stage, beam.",
    "check": "Look at annotated micrographs and say what would spoil training.",
    "plan": "Say what fit would choose for annotated micrographs, and why.",
    "fit": "Train a U-Net on annotated micrographs.",
    "tune": "Search for better settings, by many trainings on this machine or several.",
    "ensemble": "Make one run of several: the mean of their probabilities, or their votes.",
    "evaluate": "Score a trained model on annotated micrographs.",
    "compare": "Compare models, masks made elsewhere and classical methods, by paired tests.",
    "study": "Repeat the experiments of the 2021 thesis.",
    "segment": "Segment micrographs with a trained model.",
    "export": "Write a trained model as one bundle for other programs.",
    "verify": "Prove that a bundle answers on this machine as the trained model did.",
    "bench": "Measure how long a bundle takes on this machine, from file to mask.",
    "prepare": "Build the TensorRT engine of a bundle for the NVIDIA GPU of this machine.",
}

# TensorFlow's notes about its own build are not for users; its errors come as exceptions
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class Commands(click.Group):
    """Finds command ``x`` in module ``cli/x.py``; turns our errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"cryoseg_tf.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may not fit the terminal's encoding
        try:
            return super().invoke(ctx)
        except CryoSegError as error:
            raise BadInput(str(error)) from error
        except MemoryError as error:
            raise BadInput("there is not enough memory for this") from error
        except BrokenPipeError:  # as of "| head": click ends without a word
            raise
        except OSError as error:  # no space, no permission, a name too long
            raise BadInput(explain(error)) from error
        except _tensorflow_errors() as error:
            raise BadInput(_reason(str(getattr(error, "message", error)))) from error
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            raise click.exceptions.Exit(130) from None


def _tensorflow_errors() -> tuple[type[BaseException], ...]:
    """TensorFlow's own errors (out of memory, disk full), without importing it."""
    module = sys.modules.get("tensorflow.python.framework.errors_impl")
    return (module.OpError,) if module else ()


def _reason(message: str) -> str:
    """Return what a message of TensorFlow has to say to a user."""
    if ours := re.search(r"^\w+Error: (.+)$", message, re.MULTILINE):  # of Python, while it fed the network
        return ours[1]
    # the first lines may only say that there is a reason, and where
    noise = re.compile(r"\s|$|.*execution error:|Detected at node|<stack traces")
    told = next((line for line in message.splitlines() if not noise.match(line)), "without a reason")
    # {{function_node ..}} and [Op:..] say where in TensorFlow
    return "TensorFlow stopped: " + re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*?\]", "", told)


class BadInput(click.ClickException):
    """A message without a traceback, with the exit code of wrong usage."""

    exit_code = 2


@click.command(cls=Commands)
@click.version_option(__version__)
def main() -> None:
    """Segment cryo-SEM micrographs with U-Nets."""
    from . import reporter

    reporter.start()


if __name__ == "__main__":
    main()
