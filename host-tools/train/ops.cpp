// The two operations of Mamba that PyTorch has no fast form of on CPUs, float32, as an extension.
//
// The causal depthwise convolution over time, of 4 taps, with its activation:
//   u[t,d] = silu(bias[d] + sum_k taps[d,k] * x[t+k-3,d])
//
// The selective scan:
//   h[t,d,n] = exp(dt[t,d] * A[d,n]) * h[t-1,d,n] + dt[t,d] * B[t,n] * u[t,d]
//   y[t,d]   = D[d] * u[t,d] + sum_n C[t,n] * h[t,d,n]
// from a state h[-1] that is given, to the last one, which is a result beside y.
//
// Shapes: x, u, dt, y (batch, time, D); A (D, N); B, C (batch, time, N); states (batch, N, D). N is 16, D a multiple of 16.
//
// Sixteen channels share one vector and the N states of a channel stay in registers through time. The backward pass
// recomputes the states instead of reading them back: those of one row and one block of channels fit the L2 cache,
// those of a whole batch would not fit anywhere. Gradients of B and C are sums over channels; they are kept per lane
// until a row is done. Rows and blocks of channels are independent, so both loops are parallel.
#include <torch/extension.h>

#include <cstdlib>
#include <vector>

namespace {

constexpr int N = 16;      // states a channel
constexpr int LANES = 16;  // channels a vector

typedef float Vec __attribute__((vector_size(64), aligned(64)));
typedef float UnalignedVec __attribute__((vector_size(64), aligned(4)));
typedef int IntVec __attribute__((vector_size(64)));

inline Vec load(const float *p) { return *(const UnalignedVec *)p; }
inline void store(float *p, Vec x) { *(UnalignedVec *)p = x; }
inline Vec splat(float x) { return x - (Vec){}; }

// exp for x <= 0: 2^round plus a polynomial on [-ln2/2, ln2/2]; relative error below 3e-6.
inline Vec exp_nonpositive(Vec x) {
    x = x * 1.44269504f;
    x = x < -126.f ? splat(-126.f) : x;
    const Vec whole = (x + 12582912.f) - 12582912.f;  // 1.5 * 2^23: rounds to nearest
    const Vec f = (x - whole) * 0.69314718f;
    const Vec p = 1.f + f * (1.f + f * (0.5f + f * (0.16666667f + f * (0.041666667f + f * 0.0083333333f))));
    const IntVec exponent = __builtin_convertvector(whole, IntVec) << 23;
    return (Vec)((IntVec)p + exponent);
}

void check(const torch::Tensor &u, const torch::Tensor &A) {
    TORCH_CHECK(u.size(2) % LANES == 0, "scan: channels must be a multiple of 16, found ", u.size(2));
    TORCH_CHECK(A.size(1) == N, "scan: d_state must be 16, found ", A.size(1));
}

}  // namespace

// y, and the state after the last step (batch, N, D).
std::vector<torch::Tensor> scan_forward(torch::Tensor u, torch::Tensor dt, torch::Tensor A, torch::Tensor B,
                                        torch::Tensor C, torch::Tensor skip, torch::Tensor start) {
    check(u, A);
    const int64_t batch = u.size(0), time = u.size(1), D = u.size(2);
    auto y = torch::empty_like(u), last = torch::empty({batch, N, D}, u.options());
    auto At = A.t().contiguous();
    const float *pu = u.data_ptr<float>(), *pdt = dt.data_ptr<float>(), *pA = At.data_ptr<float>();
    const float *pB = B.data_ptr<float>(), *pC = C.data_ptr<float>();
    const float *pskip = skip.data_ptr<float>(), *pstart = start.data_ptr<float>();
    float *py = y.data_ptr<float>(), *plast = last.data_ptr<float>();
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t d = 0; d < D; d += LANES) {
            Vec h[N], a[N];
            for (int n = 0; n < N; n++) a[n] = load(pA + n * D + d), h[n] = load(pstart + (b * N + n) * D + d);
            for (int64_t t = 0; t < time; t++) {
                const int64_t i = b * time + t;
                const Vec x = load(pu + i * D + d), step = load(pdt + i * D + d), input = step * x;
                const float *Bt = pB + i * N, *Ct = pC + i * N;
                Vec sum = load(pskip + d) * x;
                for (int n = 0; n < N; n++) {
                    h[n] = exp_nonpositive(step * a[n]) * h[n] + input * Bt[n];
                    sum += h[n] * Ct[n];
                }
                store(py + i * D + d, sum);
            }
            for (int n = 0; n < N; n++) store(plast + (b * N + n) * D + d, h[n]);
        }
    return {y, last};
}

// Gradients of u, dt, A, B, C, D and the first state, given those of y and of the last state.
std::vector<torch::Tensor> scan_backward(torch::Tensor gy, torch::Tensor glast, torch::Tensor u, torch::Tensor dt,
                                         torch::Tensor A, torch::Tensor B, torch::Tensor C, torch::Tensor skip,
                                         torch::Tensor start) {
    check(u, A);
    const int64_t batch = u.size(0), time = u.size(1), D = u.size(2);
    auto At = A.t().contiguous();
    auto gu = torch::empty_like(u), gdt = torch::empty_like(u);
    auto gA = torch::empty({batch, N, D}, u.options()), gskip = torch::empty({batch, D}, u.options());
    auto gB = torch::empty_like(B), gC = torch::empty_like(C), gstart = torch::empty_like(start);
    const float *pgy = gy.data_ptr<float>(), *pu = u.data_ptr<float>(), *pdt = dt.data_ptr<float>();
    const float *pA = At.data_ptr<float>(), *pB = B.data_ptr<float>(), *pC = C.data_ptr<float>();
    float *pgu = gu.data_ptr<float>(), *pgdt = gdt.data_ptr<float>(), *pgA = gA.data_ptr<float>();
    float *pgB = gB.data_ptr<float>(), *pgC = gC.data_ptr<float>();
    const float *pskip = skip.data_ptr<float>(), *pstart = start.data_ptr<float>(), *pglast = glast.data_ptr<float>();
    float *pgskip = gskip.data_ptr<float>(), *pgstart = gstart.data_ptr<float>();
#pragma omp parallel
    {
        const auto scratch = [&](int64_t steps) { return (Vec *)std::aligned_alloc(64, steps * N * sizeof(Vec)); };
        Vec *states = scratch(time + 1), *decays = scratch(time), *laneB = scratch(time), *laneC = scratch(time);
#pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < batch; b++) {
            for (int64_t k = 0; k < time * N; k++) laneB[k] = laneC[k] = splat(0);
            for (int64_t d = 0; d < D; d += LANES) {
                Vec a[N], gh[N], ga[N];
                for (int n = 0; n < N; n++) {
                    a[n] = load(pA + n * D + d), ga[n] = splat(0);
                    states[n] = load(pstart + (b * N + n) * D + d), gh[n] = load(pglast + (b * N + n) * D + d);
                }
                Vec gs = splat(0);
                for (int64_t t = 0; t < time; t++) {
                    const int64_t i = b * time + t;
                    const Vec step = load(pdt + i * D + d), input = step * load(pu + i * D + d);
                    const float *Bt = pB + i * N;
                    const Vec *before = states + t * N;
                    Vec *after = states + (t + 1) * N, *decay = decays + t * N;
                    for (int n = 0; n < N; n++) {
                        decay[n] = exp_nonpositive(step * a[n]);
                        after[n] = decay[n] * before[n] + input * Bt[n];
                    }
                }
                for (int64_t t = time - 1; t >= 0; t--) {
                    const int64_t i = b * time + t;
                    const Vec x = load(pu + i * D + d), step = load(pdt + i * D + d), g = load(pgy + i * D + d);
                    const Vec input = step * x;
                    const float *Bt = pB + i * N, *Ct = pC + i * N;
                    const Vec *before = states + t * N, *after = before + N, *decay = decays + t * N;
                    Vec *lB = laneB + t * N, *lC = laneC + t * N;
                    Vec through_input = splat(0), through_decay = splat(0);
                    for (int n = 0; n < N; n++) {
                        lC[n] += g * after[n];
                        const Vec q = gh[n] + g * Ct[n];
                        lB[n] += q * input;
                        through_input += q * Bt[n];
                        gh[n] = q * decay[n];
                        const Vec r = gh[n] * before[n];
                        through_decay += r * a[n];
                        ga[n] += r * step;
                    }
                    gs += g * x;
                    store(pgu + i * D + d, through_input * step + g * load(pskip + d));
                    store(pgdt + i * D + d, through_input * x + through_decay);
                }
                for (int n = 0; n < N; n++) {
                    store(pgA + (b * N + n) * D + d, ga[n]);
                    store(pgstart + (b * N + n) * D + d, gh[n]);
                }
                store(pgskip + b * D + d, gs);
            }
            for (int64_t k = 0; k < time * N; k++) {
                float sumB = 0, sumC = 0;
                for (int l = 0; l < LANES; l++) sumB += laneB[k][l], sumC += laneC[k][l];
                pgB[b * time * N + k] = sumB;
                pgC[b * time * N + k] = sumC;
            }
        }
        std::free(states), std::free(decays), std::free(laneB), std::free(laneC);
    }
    return {gu, gdt, gA.sum(0).t().contiguous(), gB, gC, gskip.sum(0), gstart};
}

constexpr int TAPS = 4;

// 1 / (1 + exp(-x)), of any x.
static inline Vec sigmoid(Vec x) {
    const Vec e = exp_nonpositive(x < 0.f ? x : -x);
    return (x < 0.f ? e : splat(1.f)) / (1.f + e);
}

torch::Tensor conv_forward(torch::Tensor x, torch::Tensor taps, torch::Tensor bias) {
    TORCH_CHECK(x.size(2) % LANES == 0 && taps.size(1) == TAPS, "conv: wants D a multiple of 16, and 4 taps");
    const int64_t batch = x.size(0), time = x.size(1), D = x.size(2);
    auto u = torch::empty_like(x);
    auto taps_t = taps.t().contiguous();
    const float *px = x.data_ptr<float>(), *pw = taps_t.data_ptr<float>(), *pbias = bias.data_ptr<float>();
    float *pu = u.data_ptr<float>();
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < batch * time; i++) {
        const int64_t t = i % time, first = t < TAPS - 1 ? TAPS - 1 - t : 0;
        for (int64_t d = 0; d < D; d += LANES) {
            Vec sum = load(pbias + d);
            for (int64_t k = first; k < TAPS; k++) sum += load(pw + k * D + d) * load(px + (i + k - TAPS + 1) * D + d);
            store(pu + i * D + d, sum * sigmoid(sum));
        }
    }
    return u;
}

// Gradients of x, taps and bias, given that of u.
std::vector<torch::Tensor> conv_backward(torch::Tensor gu, torch::Tensor x, torch::Tensor taps, torch::Tensor bias) {
    const int64_t batch = x.size(0), time = x.size(1), D = x.size(2);
    auto gx = torch::empty_like(x);
    auto gw = torch::empty({batch, TAPS, D}, x.options()), gbias = torch::empty({batch, D}, x.options());
    auto taps_t = taps.t().contiguous();
    const float *pgu = gu.data_ptr<float>(), *px = x.data_ptr<float>();
    const float *pw = taps_t.data_ptr<float>(), *pbias = bias.data_ptr<float>();
    float *pgx = gx.data_ptr<float>(), *pgw = gw.data_ptr<float>(), *pgbias = gbias.data_ptr<float>();
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t d = 0; d < D; d += LANES) {
            Vec w[TAPS], sums[TAPS], total = splat(0);
            // The last inputs, and what the outputs so far owe them: input t is tap k of output t + 3 - k.
            Vec inputs[TAPS], owed[TAPS];
            for (int k = 0; k < TAPS; k++) {
                w[k] = load(pw + k * D + d);
                sums[k] = inputs[k] = owed[k] = splat(0);
            }
            for (int64_t t = 0; t < time; t++) {
                const int64_t i = (b * time + t) * D + d;
                for (int k = 0; k + 1 < TAPS; k++) inputs[k] = inputs[k + 1], owed[k] = owed[k + 1];
                inputs[TAPS - 1] = load(px + i), owed[TAPS - 1] = splat(0);
                Vec sum = load(pbias + d);
                for (int k = 0; k < TAPS; k++) sum += w[k] * inputs[k];
                const Vec s = sigmoid(sum), g = load(pgu + i) * s * (1.f + sum * (1.f - s));
                total += g;
                for (int k = 0; k < TAPS; k++) sums[k] += g * inputs[k], owed[k] += g * w[k];
                if (t >= TAPS - 1) store(pgx + i - (TAPS - 1) * D, owed[0]);
            }
            for (int64_t k = 1; k < TAPS; k++)
                if (time - TAPS + k >= 0) store(pgx + (b * time + time - TAPS + k) * D + d, owed[k]);
            for (int k = 0; k < TAPS; k++) store(pgw + (b * TAPS + k) * D + d, sums[k]);
            store(pgbias + b * D + d, total);
        }
    return {gx, gw.sum(0).t().contiguous(), gbias.sum(0)};
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
    m.def("conv_forward", &conv_forward);
    m.def("conv_backward", &conv_backward);
    m.def("scan_forward", &scan_forward);
    m.def("scan_backward", &scan_backward);
}
