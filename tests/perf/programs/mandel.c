/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scalar floating point with branches: the Mandelbrot set. */
#include "bench.h"

static uint64_t work(unsigned n)
{
    uint64_t h = 0;

    for (unsigned y = 0; y < n; y++) {
        for (unsigned x = 0; x < n; x++) {
            double cr = 3.0 * x / n - 2.0, ci = 2.0 * y / n - 1.0, zr = 0, zi = 0;
            unsigned k = 0;

            while (k < 100 && zr * zr + zi * zi < 4.0) {
                double t = zr * zr - zi * zi + cr;

                zi = 2 * zr * zi + ci;
                zr = t;
                k++;
            }
            h = mix(h, k);
        }
    }
    return h;
}
