"""Winograd's transforms in C, compiled once per user and processor where a compiler is found.

Between memory and the matrix products, PyTorch's operations would read and write every value ten
times; here a tile is read once and its products are written once. The source is generated from the
same matrices as the plain transforms in `winograd`, which stand for it where there is no compiler.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path

from dmnet.optimised.winograd_matrices import TILES, Matrix, matrices

log = logging.getLogger(__name__)

LANES = 16  # float32 values that one operation works on; channels must be a multiple
MOST_CHANNELS = 65536  # of the zeros that stand for what lies outside of the image
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-shared", "-fPIC")

HEADER = """
typedef float lane __attribute__((vector_size(64), aligned(4)));
typedef int bits __attribute__((vector_size(64), aligned(4)));
typedef unsigned int words __attribute__((vector_size(64), aligned(4)));
typedef unsigned short bf16;
typedef bf16 halves __attribute__((vector_size(32), aligned(2)));
static const float zeros[65536];

static inline lane load_float(const float *x) { return *(const lane *)x; }
static inline void store_float(float *x, lane value) { *(lane *)x = value; }

static inline lane load_bf16(const bf16 *x) {
    return (lane)(__builtin_convertvector(*(const halves *)x, words) << 16);
}
static inline void store_bf16(bf16 *x, lane value) {  // the nearest, of two the even one
    words w = (words)value, rounded = (w + 0x7fff + ((w >> 16) & 1)) >> 16;
    words none = (words)(value != value);
    rounded = (none & (w >> 16 | 0x40)) | (~none & rounded);
    *(halves *)x = __builtin_convertvector(rounded, halves);
}
"""

# A tile's channels are innermost, so every operation works on 16 of them.
INPUT = """
void input_{type}_{h}x{w}(const {type} *x, {type} *v, long n, long height, long width,
                          long channels, long dilation, long down, long across, long all,
                          long offset, int threads) {{
    long d = dilation, tiles = n * down * d * across * d;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long tile = 0; tile < tiles; tile++) {{
        long t = tile, q = t % d, tx = (t /= d) % across, p = (t /= across) % d;
        long ty = (t /= d) % down, image = t / down;
        const {type} *at[{a}][{b}];
        for (int i = 0; i < {a}; i++)
            for (int j = 0; j < {b}; j++) {{
                long row = (ty * {h} + i - 1) * d + p, column = (tx * {w} + j - 1) * d + q;
                int inside = row >= 0 && row < height && column >= 0 && column < width;
                at[i][j] = inside ? x + ((image * height + row) * width + column) * channels
                                  : (const {type} *)zeros;
            }}
        {type} *out = v + tile * {a} * {b} * all + offset;
        for (long c = 0; c < channels; c += 16) {{
            lane u[{a}][{b}];
            for (int j = 0; j < {b}; j++) {{
                lane s[{a}];
                for (int i = 0; i < {a}; i++) s[i] = load_{type}(at[i][j] + c);
                {rows}
            }}
            for (int i = 0; i < {a}; i++) {{
                lane *s = u[i];
                {columns}
            }}
        }}
    }}
}}
"""

OUTPUT = """
void output_{type}_{h}x{w}(const {type} *y, {type} *out, const float *bias, long n, long height,
                           long width, long channels, long dilation, long down, long across,
                           int relu, int threads) {{
    long d = dilation, tiles = n * down * d * across * d;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long tile = 0; tile < tiles; tile++) {{
        long t = tile, q = t % d, tx = (t /= d) % across, p = (t /= across) % d;
        long ty = (t /= d) % down, image = t / down;
        const {type} *in = y + tile * {a} * {b} * channels;
        for (long c = 0; c < channels; c += 16) {{
            lane u[{h}][{b}], shift = *(const lane *)(bias + c);
            for (int j = 0; j < {b}; j++) {{
                lane s[{a}];
                for (int i = 0; i < {a}; i++)
                    s[i] = load_{type}(in + (i * {b} + j) * channels + c);
                {rows}
            }}
            for (int i = 0; i < {h}; i++) {{
                lane *s = u[i], r[{w}];
                {columns}
                for (int j = 0; j < {w}; j++) {{
                    long row = (ty * {h} + i) * d + p, column = (tx * {w} + j) * d + q;
                    if (row >= height || column >= width) continue;
                    lane value = r[j] + shift;
                    if (relu) value = (lane)((bits)value & ~(value < 0));  // keeps NaN
                    store_{type}(out + ((image * height + row) * width + column) * channels + c,
                                 value);
                }}
            }}
        }}
    }}
}}
"""


def source() -> str:
    """The C file: both transforms for every type and its pairs of tile sizes."""
    text = [HEADER]
    for kind, tiles in TILES.items():
        for h, w in tiles:
            sizes = {"type": kind, "h": h, "w": w, "a": h + 2, "b": w + 2}
            store = "store_{type}(out + (i * {b} + {{}}) * all + c, {{}});".format(**sizes)
            text.append(
                INPUT.format(
                    **sizes,
                    rows=products(matrices(h).input, "u[{}][j] = {};"),
                    columns=products(matrices(w).input, store),
                )
            )
            text.append(
                OUTPUT.format(
                    **sizes,
                    rows=products(matrices(h).output, "u[{}][j] = {};"),
                    columns=products(matrices(w).output, "r[{}] = {};"),
                )
            )
    return "".join(text)


def products(matrix: Matrix, statement: str) -> str:
    """`statement` of i and the sum over j of matrix[i][j] s[j] for every i; zeros are left out."""
    return " ".join(
        statement.format(i, " + ".join(f"{literal(c)} * s[{j}]" for j, c in enumerate(row) if c))
        for i, row in enumerate(matrix)
    )


def literal(value: Fraction) -> str:
    return f"{float(value)!r}f"


@cache
def kernels() -> ctypes.CDLL | None:
    """The compiled transforms, or None where there is no compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        log.info("no C compiler: Winograd's transforms run as PyTorch operations, which is slower")
        return None
    text = source()
    try:
        kept = cache_folder() / f"winograd-{fingerprint(compiler, text)}.so"
        if not kept.exists():
            compile_into(kept, compiler, text)
        return ctypes.CDLL(str(kept))
    except (OSError, subprocess.CalledProcessError):
        pass  # nothing can be written there, or what lies there is no library
    try:
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder, "winograd.so")
            compile_into(library, compiler, text)
            return ctypes.CDLL(str(library))
    except (OSError, subprocess.CalledProcessError) as error:
        log.info("%s: cannot compile Winograd's transforms, PyTorch's take their place", error)
        return None


def cache_folder() -> Path:
    """Of this user alone: a library is code. Raises OSError where it cannot be, or is another's."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base, "dmnet")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder}: others may write into it")
    return folder


def fingerprint(compiler: str, text: str) -> str:
    """Of all that the library depends on; `-march=native` makes it one for this processor."""
    parts = [compiler, *FLAGS, text, platform.machine(), processor_features()]
    found = shutil.which(compiler)
    if found is not None:  # another version has another size or time
        status = os.stat(found)
        parts += [str(status.st_size), str(status.st_mtime_ns)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def processor_features() -> str:
    """What Linux says of the first processor's model and instructions; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines if line.startswith(("model", "flags", "Features")))


def compile_into(library: Path, compiler: str, text: str) -> None:
    """Written beside `library` and renamed, so that another process never sees half of it."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        file, made = Path(folder, "winograd.c"), Path(folder, "winograd.so")
        file.write_text(text)
        subprocess.run(
            [compiler, *FLAGS, str(file), "-o", str(made)], check=True, capture_output=True
        )
        os.replace(made, library)
