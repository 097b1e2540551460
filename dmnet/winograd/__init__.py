"""Dense 3x3 convolutions of stride 1 by Winograd's minimal filtering, dilated ones by phases.

    x  (n, h, w, C)     with dilation d, the pixels of one phase (row mod d, column mod d) form an
                        image of their own, which is convolved without dilation
    V  (tiles, g, C)    B^T x B of every tile of (m_h + 2) x (m_w + 2) = g pixels
    U  (g, K, C)        G w G^T
    M  (tiles, g, K)    g matrix products
    y  (n, h, w, K)     A^T M A: m_h x m_w pixels per tile

A tile of 4 x 4 pixels takes 36 products per pair of channels instead of 144. Which tiles waste the
least at the border depends on the image and the dilation, so height and width each choose among
2, 3 and 4.

    matrices     A, B and G
    tiles        which tiles fit an image
    transforms   between x, V, U, M and y
    kernels      the same in C: `source` writes them, `kernels` compiles them

dmnet/optimised/winograd.py predicts with them.
"""
