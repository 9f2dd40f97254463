// What the machine can do, for limits.py: multiplications with additions, and memory read and written.
#include <stddef.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef float vec __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / sizeof(float), SUMS = 12 };

// `flops` additions and multiplications, divided among threads. Twelve sums hide what one of them waits.
float products(double flops, float x, float y, int threads) {
    long rounds = (long)(flops / (2.0 * LANES * SUMS * threads)) + 1;
    float out = 0;
#pragma omp parallel num_threads(threads) reduction(+ : out)
    {
        vec sums[SUMS], a = x - (vec){0}, b = y - (vec){0};
        for (int i = 0; i < SUMS; i++) sums[i] = a;
        for (long r = 0; r < rounds; r++)
#pragma GCC unroll 12
            for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * a + b;
        for (int i = 0; i < SUMS; i++)
            for (int lane = 0; lane < LANES; lane++) out += sums[i][lane];
    }
    return out;
}

// Reads `count` numbers and writes as many in their place, so that no line is fetched only to be overwritten.
void stream(float *x, long count, int threads) {
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (long i = 0; i < count; i++) x[i] += 1.0f;
}
