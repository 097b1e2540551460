"""The C file of Winograd's transforms, generated from the matrices of `dmnet.winograd.matrices`.

Every tile is read once and its values are written once. Channels are innermost, so that every
operation works on 16 of them.
"""

from __future__ import annotations

from fractions import Fraction

from dmnet.winograd.matrices import TILES, Matrix, Tile, matrices

LANES = 16  # float32 values that one operation works on; channels must be a multiple
MOST_CHANNELS = 65536  # of the zeros that stand for what lies outside of the image

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

# Tiles of r x s pixels, h x w apart, the first `before` of them outside of the image, become a x b
# values each.
INPUT = """
void {name}_{type}_{h}x{w}(const {type} *x, {type} *v, long n, long height, long width,
                           long channels, long dilation, long down, long across, long all,
                           long offset, int threads) {{
    long d = dilation, tiles = n * down * d * across * d;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long tile = 0; tile < tiles; tile++) {{
        long t = tile, q = t % d, tx = (t /= d) % across, p = (t /= across) % d;
        long ty = (t /= d) % down, image = t / down;
        const {type} *at[{r}][{s}];
        for (int i = 0; i < {r}; i++)
            for (int j = 0; j < {s}; j++) {{
                long row = (ty * {h} + i - {before}) * d + p;
                long column = (tx * {w} + j - {before}) * d + q;
                int inside = row >= 0 && row < height && column >= 0 && column < width;
                at[i][j] = inside ? x + ((image * height + row) * width + column) * channels
                                  : (const {type} *)zeros;
            }}
        {type} *out = v + tile * {a} * {b} * all + offset;
        for (long c = 0; c < channels; c += 16) {{
            lane u[{a}][{s}];
            for (int j = 0; j < {s}; j++) {{
                lane s[{r}];
                for (int i = 0; i < {r}; i++) s[i] = load_{type}(at[i][j] + c);
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
    """The C file: the transforms for every type and its pairs of tile sizes."""
    text = [HEADER]
    for kind, tiles in TILES.items():
        for tile in tiles:
            text += [input_kernel(kind, tile), output_kernel(kind, tile)]
    return "".join(text)


def input_kernel(kind: str, tile: Tile) -> str:
    left, right = (matrices(m).input for m in tile)
    return sandwich("input", kind, tile, left, right, before=1)


def sandwich(name: str, kind: str, tile: Tile, left: Matrix, right: Matrix, before: int) -> str:
    """left x right^T of every tile x."""
    (a, r), (b, s) = ((len(matrix), len(matrix[0])) for matrix in (left, right))
    return INPUT.format(
        **sizes(kind, tile) | {"name": name, "before": before, "a": a, "b": b, "r": r, "s": s},
        rows=products(left, "u[{}][j] = {};"),
        columns=products(right, f"store_{kind}(out + (i * {b} + {{}}) * all + c, {{}});"),
    )


def output_kernel(kind: str, tile: Tile) -> str:
    left, right = (matrices(m).output for m in tile)
    return OUTPUT.format(
        **sizes(kind, tile),
        rows=products(left, "u[{}][j] = {};"),
        columns=products(right, "r[{}] = {};"),
    )


def sizes(kind: str, tile: Tile) -> dict[str, str | int]:
    h, w = tile
    return {"type": kind, "h": h, "w": w, "a": h + 2, "b": w + 2}


def products(matrix: Matrix, statement: str) -> str:
    """`statement` of i and the sum over j of matrix[i][j] s[j] for every i; zeros are left out."""
    return " ".join(
        statement.format(i, " + ".join(f"{literal(c)} * s[{j}]" for j, c in enumerate(row) if c))
        for i, row in enumerate(matrix)
    )


def literal(value: Fraction) -> str:
    return f"{float(value)!r}f"
