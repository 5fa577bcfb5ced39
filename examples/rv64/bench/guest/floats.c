/* SPDX-License-Identifier: BSD-3-Clause */

/* Floating point. Contraction is off, so that each result has one value. */

#include <math.h>
#include <string.h>

#include "bench.h"

#define N 64

static double left[N][N], right[N][N], product[N][N];

static void matmul_begin(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            left[i][j] = (double)(i * 3 + j) / 7;
            right[i][j] = (double)(j - i * 2) / 3;
        }
}

static uint64_t fold_double(uint64_t sum, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bench_fold(sum, bits);
}

static uint64_t fp_matmul(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;

            for (int k = 0; k < N; k++)
                sum += left[i][k] * right[k][j];
            product[i][j] = sum;
        }
    return fold_double(fold_double(1, product[3][5]), product[N - 1][N - 1]);
}

/* Divisions and square roots: bodies that attract each other. */
static uint64_t fp_nbody(void)
{
    static const double start[5][7] = {{0, 0, 0, 0, 0, 0, 39.5},
                                       {4.8, -1.2, -.1, .6, 2.8, 0, .04},
                                       {8.3, 4.1, -.4, -1, 1.8, 0, .01},
                                       {12.9, -15.1, -.2, 1.1, .9, 0, .002},
                                       {15.4, -25.9, .2, 1, .6, 0, .002}};
    double b[5][7];
    uint64_t sum = 0;

    memcpy(b, start, sizeof b);
    for (int step = 0; step < 50; step++)
        for (int i = 0; i < 5; i++) {
            for (int j = i + 1; j < 5; j++) {
                double dx = b[i][0] - b[j][0], dy = b[i][1] - b[j][1], dz = b[i][2] - b[j][2];
                double square = dx * dx + dy * dy + dz * dz;
                double pull = .01 / (square * sqrt(square));

                for (int k = 0; k < 3; k++) {
                    double d = b[i][k] - b[j][k];

                    b[i][3 + k] -= d * b[j][6] * pull;
                    b[j][3 + k] += d * b[i][6] * pull;
                }
            }
            for (int k = 0; k < 3; k++)
                b[i][k] += .01 * b[i][3 + k];
        }
    for (int i = 0; i < 5; i++)
        sum = fold_double(sum, b[i][0] + b[i][4]);
    return sum;
}

/* Singles, comparisons and conversions: the Mandelbrot set. */
static uint64_t fp_single(void)
{
    uint64_t sum = 0;

    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 16; column++) {
            float cx = (float)column / 6 - 2, cy = (float)row / 8 - 1, x = 0, y = 0;
            int i = 0;

            while (i < 64 && x * x + y * y < 4) {
                float next = x * x - y * y + cx;

                y = 2 * x * y + cy;
                x = next;
                i++;
            }
            sum = bench_fold(sum, (uint64_t)i + (uint64_t)(int64_t)(x * 1024));
        }
    return sum;
}

static const struct bench entries[] = {
    {"fp_matmul", fp_matmul, 2 * N *N *N, UINT64_C(0x5aa95294bcf4e3f6), matmul_begin, NULL},
    {"fp_nbody", fp_nbody, 50, UINT64_C(0x1ddcedb37b00754d), NULL, NULL},
    {"fp_single", fp_single, 256, UINT64_C(0xa46a48e74c9cd58b), NULL, NULL},
};

const struct bench_group bench_floats = {entries, COUNT(entries)};
