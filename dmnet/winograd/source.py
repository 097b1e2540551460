"""The C file of Winograd's transforms, generated from the matrices of `dmnet.winograd.matrices`.

Every tile is read once and its values are written once. Channels are innermost, so that every
operation works on 16 of them.
"""

from __future__ import annotations

from fractions import Fraction

from dmnet.winograd.matrices import TILES, Matrix, Tile, matrices, transposed

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


# Of 16 pairs of channels at once; `half_turn`: filters turned by 180 degrees.
FILTERS = """
void filters_{type}_{h}x{w}(const {type} *weight, {type} *u, long outputs, long inputs,
                            int half_turn, int threads) {{
    long all = outputs * inputs;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long first = 0; first < all; first += 16) {{
        lane taps[9], v[{a}][3];
        for (int tap = 0; tap < 9; tap++)
            for (int c = 0; c < 16; c++)
                taps[half_turn ? 8 - tap : tap][c] = weight[(first + c) * 9 + tap];
        for (int j = 0; j < 3; j++) {{
            lane s[3] = {{taps[j], taps[3 + j], taps[6 + j]}};
            {rows}
        }}
        for (int i = 0; i < {a}; i++) {{
            lane *s = v[i];
            {columns}
        }}
    }}
}}
"""

# Its transposed: from the gradient of U to that of the weights.
TAPS = """
void taps_{type}_{h}x{w}(const {type} *u, {type} *weight, long outputs, long inputs, int threads) {{
    long all = outputs * inputs;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long first = 0; first < all; first += 16) {{
        lane v[3][{b}], taps[3][3];
        for (int j = 0; j < {b}; j++) {{
            lane s[{a}];
            for (int i = 0; i < {a}; i++) s[i] = load_{type}(u + (i * {b} + j) * all + first);
            {rows}
        }}
        for (int i = 0; i < 3; i++) {{
            lane *s = v[i];
            {columns}
        }}
        for (int c = 0; c < 16; c++)
            for (int tap = 0; tap < 9; tap++)
                weight[(first + c) * 9 + tap] = taps[tap / 3][tap % 3][c];
    }}
}}
"""

# PyTorch's own copy takes twenty times as long where there are thousands of channels.
TURNED = """
void turned(const float *x, float *y, long n, long rows, long columns, int threads) {
    long down = (rows + 15) / 16;
    #pragma omp parallel for num_threads(threads) schedule(static)
    for (long part = 0; part < n * down; part++) {
        long image = part / down, top = part % down * 16;
        long height = rows - top < 16 ? rows - top : 16;
        const float *in = x + image * rows * columns + top * columns;
        float *out = y + image * rows * columns + top;
        for (long left = 0; left < columns; left += 16) {
            long width = columns - left < 16 ? columns - left : 16;
            for (long j = left; j < left + width; j++)
                for (long i = 0; i < height; i++) out[j * rows + i] = in[i * columns + j];
        }
    }
}
"""


def source() -> str:
    """The C file: the transforms for every type and its pairs of tile sizes."""
    text = [HEADER, TURNED]
    for kind, tiles in TILES.items():
        for tile in tiles:
            text += [input_kernel(kind, tile), output_kernel(kind, tile)]
            if kind == "float":  # trained in no other
                text += training_kernels(kind, tile)
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


def training_kernels(kind: str, tile: Tile) -> list[str]:
    names = sizes(kind, tile)
    left, right = (transposed(matrices(m).output) for m in tile)
    down, across = (matrices(m).filter for m in tile)
    store = "store_{type}(u + (i * {b} + {{}}) * all + first, {{}});".format(**names)
    filters = FILTERS.format(
        **names, rows=products(down, "v[{}][j] = {};"), columns=products(across, store)
    )
    taps = TAPS.format(
        **names,
        rows=products(transposed(down), "v[{}][j] = {};"),
        columns=products(transposed(across), "taps[i][{}] = {};"),
    )
    return [sandwich("gradient", kind, tile, left, right, before=0), filters, taps]


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
