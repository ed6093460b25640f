"""The sine of float32 numbers, as constants: numba and Triton compile the same few lines, each in their own words.

turns = (z * INVERSE_PI + ROUND) - ROUND; r = z - turns * π by parts; q = r * r;
± sin z = r + r * q * (SINE[0] + q * (SINE[1] + q * (SINE[2] + q * SINE[3]))). Exact to float32 while |z| < 10⁴.
Numba keeps on disk what it compiled with these: who changes one touches fused.py.
"""

import math

# Adding and taking away 1.5 · 2²³ rounds a float32 to a whole number.
ROUND = 1.5 * 2**23
INVERSE_PI = 1 / math.pi
# π in three parts, the first two short enough for their products with small whole numbers to be exact (Cody and Waite).
_FIRST = 201 / 64
_SECOND = round((math.pi - _FIRST) * 2**22) / 2**22
PI_PARTS = (_FIRST, _SECOND, math.pi - _FIRST - _SECOND)
# sin r ≈ r + r³ (…): the least greatest error on -π/2…π/2, 5e-9, by iterated weighted least squares.
SINE = (-0.16666657, 0.008333016, -0.00019806547, 2.5999029e-06)
