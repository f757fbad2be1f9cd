// Masks from raw micrographs: the C library cryoseg for .NET (Framework 4.5 and later, .NET 6 and later, Mono).
//
//     using (var model = new CryoSeg.Model(@"D:\models\cells.cryoseg"))
//     {
//         CryoSeg.Segmentation result = model.Segment(pixels, height, width, 200.0);   // pixels: ushort[]
//         if (result.Status == CryoSeg.Status.Ok) ...
//     }
//
// The process must be a 64-bit one, and find cryoseg.dll with the OpenVINO files beside it: see docs/hosts.md.
// What cryoseg.h says about threads holds here, too. This file keeps to C# 5.

using System;
using System.Runtime.InteropServices;
using System.Text;

namespace CryoSeg
{
    /// <summary>What was found about an image. With 1, 2, 3 and 5 its mask is empty.</summary>
    public enum Status
    {
        Ok = 0,
        PixelSizeUnknown = 1,
        PixelSizeOutOfRange = 2,
        TooSmall = 3,
        LowContrast = 4,
        NotFinite = 5
    }

    /// <summary>Why something could not be done, in the words of the library.</summary>
    public sealed class CryoSegException : Exception
    {
        /// <summary>1: an argument is wrong, 2: the bundle is, 3: OpenVINO failed, 4: memory.</summary>
        public int Code { get; private set; }

        internal CryoSegException(int code, string message) : base(message)
        {
            Code = code;
        }
    }

    /// <summary>The answer for one image.</summary>
    public sealed class Segmentation
    {
        /// <summary>Height * width class indices, row by row.</summary>
        public byte[] Mask { get; internal set; }

        /// <summary>Height * width * channels, channels innermost; null if not asked for.</summary>
        public float[] Probability { get; internal set; }

        public Status Status { get; internal set; }
    }

    /// <summary>A bundle's network, loaded. Threads may share it; dispose of it after the last one is done.</summary>
    public sealed class Model : IDisposable
    {
        private readonly Handle handle;

        /// <param name="bundle">The folder.</param>
        /// <param name="threads">How many threads work on an image; 0: one per core.</param>
        /// <exception cref="CryoSegException">The bundle is missing or damaged.</exception>
        public Model(string bundle, int threads = 0)
        {
            if (bundle == null)
                throw new ArgumentNullException("bundle");
            Check(Native.cryoseg_open(Encoding.UTF8.GetBytes(bundle + "\0"), threads, out handle));
            Channels = Native.cryoseg_channels(handle);
            Classes = new string[Native.cryoseg_classes(handle)];
            for (int index = 0; index < Classes.Length; index++)
                Classes[index] = Text(Native.cryoseg_class_name(handle, index));
        }

        /// <summary>The names of the classes, background first.</summary>
        public string[] Classes { get; private set; }

        /// <summary>Floats per pixel of a probability: 1 with two classes, else one per class.</summary>
        public int Channels { get; private set; }

        /// <summary>Segment one image of 8-bit counts, height rows of width pixels without gaps.</summary>
        /// <param name="pixelSize">In nm; 0: unknown.</param>
        /// <param name="probability">Whether to return probabilities, too.</param>
        /// <exception cref="CryoSegException">It could not be done; a Status is no error.</exception>
        public Segmentation Segment(byte[] pixels, int height, int width, double pixelSize, bool probability = false)
        {
            return Segment(pixels, 1, height, width, pixelSize, probability);
        }

        /// <summary>Segment one image of 16-bit counts.</summary>
        public Segmentation Segment(ushort[] pixels, int height, int width, double pixelSize, bool probability = false)
        {
            return Segment(pixels, 2, height, width, pixelSize, probability);
        }

        /// <summary>Segment one image of floating-point counts.</summary>
        public Segmentation Segment(float[] pixels, int height, int width, double pixelSize, bool probability = false)
        {
            return Segment(pixels, 4, height, width, pixelSize, probability);
        }

        /// <summary>Free the model.</summary>
        public void Dispose()
        {
            handle.Dispose();
        }

        private Segmentation Segment(Array pixels, int type, int height, int width, double pixelSize, bool probability)
        {
            if (pixels == null)
                throw new ArgumentNullException("pixels");
            // the library cannot see how long an array is
            if (height < 1 || width < 1 || pixels.LongLength != (long)height * width)
                throw new ArgumentException(pixels.LongLength + " pixels are not " + height + " rows of " + width);
            var result = new Segmentation { Mask = new byte[pixels.LongLength] };
            if (probability)
                result.Probability = new float[pixels.LongLength * Channels];
            int status;
            GCHandle pin = GCHandle.Alloc(pixels, GCHandleType.Pinned);
            try
            {
                Check(Native.cryoseg_segment(handle, pin.AddrOfPinnedObject(), type, height, width,
                    new UIntPtr((ulong)width * (ulong)type), pixelSize, result.Mask, result.Probability, out status));
            }
            finally
            {
                pin.Free();
            }
            result.Status = (Status)status;
            return result;
        }

        private static void Check(int code)
        {
            if (code != 0)
                throw new CryoSegException(code, Text(Native.cryoseg_last_error()));
        }

        // Marshal.PtrToStringUTF8 is not in .NET Framework
        private static string Text(IntPtr text)
        {
            int length = 0;
            while (Marshal.ReadByte(text, length) != 0)
                length++;
            var bytes = new byte[length];
            Marshal.Copy(text, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }

        /// <summary>Closes the model, but never while a call uses it.</summary>
        private sealed class Handle : SafeHandle
        {
            private Handle() : base(IntPtr.Zero, true)
            {
            }

            public override bool IsInvalid
            {
                get { return handle == IntPtr.Zero; }
            }

            protected override bool ReleaseHandle()
            {
                Native.cryoseg_close(handle);
                return true;
            }
        }

        private static class Native
        {
            private const string Library = "cryoseg";
            private const CallingConvention Cdecl = CallingConvention.Cdecl;

            [DllImport(Library, CallingConvention = Cdecl)]
            internal static extern int cryoseg_open(byte[] bundle, int threads, out Handle model);

            [DllImport(Library, CallingConvention = Cdecl)]
            internal static extern int cryoseg_segment(Handle model, IntPtr pixels, int type, int height, int width,
                UIntPtr stride, double pixelSize, [Out] byte[] mask, [Out] float[] probability, out int status);

            [DllImport(Library, CallingConvention = Cdecl)]
            internal static extern void cryoseg_close(IntPtr model);

            [DllImport(Library, CallingConvention = Cdecl)]
            internal static extern IntPtr cryoseg_last_error();

            [DllImport(Library, CallingConvention = Cdecl)]
            internal static extern int cryoseg_classes(Handle model);

            [DllImport(Library, CallingConvention = Cdecl)]
            internal static extern IntPtr cryoseg_class_name(Handle model, int index);

            [DllImport(Library, CallingConvention = Cdecl)]
            internal static extern int cryoseg_channels(Handle model);
        }
    }
}
