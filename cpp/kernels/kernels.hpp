// The table of kernels: what the core may ask of one instruction set.
//
// Every matrix is stored in panels: `panel` neighboring columns stand together, row after row, so that each kernel
// reads and writes one contiguous stream. Element (r, c) lies at data[c / panel * stride + r * panel + c % panel].
// The unused columns of the last panel are zero in parameters and gradients, and any finite number in activations.
// `stride` (elements from one panel to the next) is a multiple of `panel`. Panels start on a cache line where speed
// matters; no kernel needs it. Ranges are half-open. No pointer may alias another unless it says so.
#pragma once

#include <cstddef>
#include <cstdint>

namespace steepest {

enum class Activation : std::int32_t { identity, relu, leaky_relu, elu, selu, gelu, silu, sigmoid, tanh, softplus, mish };

// Whether an activation's derivative is computed from its input z. The others' follows from the output y, so that z need not be
// kept. Static, for code that the linker could share between instruction sets may not come of it.
static constexpr bool slope_needs_input(Activation a) {
    return a == Activation::gelu || a == Activation::silu || a == Activation::mish;
}

enum class Loss : std::int32_t { mse, mae, huber, quantile, cross_entropy, binary_cross_entropy, poisson };

enum class Rule : std::int32_t { sgd, adam, rmsprop };

constexpr std::size_t kCacheLineBytes = 64;

template <class T>
struct Matrix {
    T* data;
    std::size_t stride;
};

// Rows [row0, row1) and panels [panel0, panel1) of a matrix: the part that a call works on.
struct Block {
    std::size_t row0, row1, panel0, panel1;
};

// One optimizer step. The gradient g is scaled, clipped and decayed before the rule sees it:
// g = clamp(scale * g, +-clip_value) + weight_decay * w, and w shrinks by `shrink` (decoupled decay).
template <class T>
struct Update {
    Rule rule;
    std::int32_t nesterov;
    T lr;            // learning rate; for Adam already divided by 1 - beta1^t
    T momentum;      // SGD and RMSprop
    T beta1;         // Adam: decay of the first moment
    T beta2;         // Adam and RMSprop: decay of the second moment
    T eps;           // added to the root of the second moment
    T root_scale;    // Adam: 1 / sqrt(1 - beta2^t)
    T weight_decay;  // L2 in the gradient
    T shrink;        // 1 - lr * weight_decay where the decay is decoupled, else 1
    T clip_value;    // 0: no clipping by value
    T scale;         // clipping by global norm; else 1
};

// What one parameter is updated with. slot1 and slot2 have the parameter's layout; null where the rule needs none.
// SGD: slot1 momentum. Adam: slot1 and slot2 the moments. RMSprop: slot1 mean square, slot2 momentum.
template <class T>
struct Slots {
    T* slot1;
    T* slot2;
};

// y = activation(x W + b) for a block of y.
template <class T>
struct ForwardArgs {
    std::size_t n_in, n_out;
    Matrix<const T> x;       // (rows, n_in)
    Matrix<const T> weight;  // (n_in, n_out)
    const T* bias;           // (n_out padded to panels), or null
    Matrix<T> y;             // (rows, n_out)
    Matrix<T> z;             // (rows, n_out) before the activation, where its gradient needs it; else data null
    Activation activation;
    T alpha;  // slope or scale of the activation, where it has one
};

// dx = (dy W^T) * activation'(x) for a block of dx.
template <class T>
struct InputGradientArgs {
    std::size_t n_in, n_out;
    Matrix<const T> dy;      // (batch, n_out)
    Matrix<const T> weight;  // (n_in, n_out)
    Matrix<T> dx;            // (batch, n_in)
    Matrix<const T> x;       // (batch, n_in), the output of that activation (identity: not read)
    Matrix<const T> z;       // (batch, n_in), its input, where needed
    Activation activation;
    T alpha;
};

// dW = x^T dy for a block of W, whose rows are inputs; row0 is a multiple of panel. The block with row0 == 0 does the bias too.
// With an update the gradient goes no further than the registers' tile: W and its slots change on the spot.
// Without, it is written to `gradient`.
template <class T>
struct WeightGradientArgs {
    std::size_t n_out;
    Matrix<const T> x;   // (batch, n_in)
    Matrix<const T> dy;  // (batch, n_out)
    Matrix<T> weight;    // (n_in, n_out)
    T* bias;             // (n_out padded), or null
    Slots<T> weight_slots, bias_slots;
    Matrix<T> gradient;  // (n_in, n_out), used without an update
    T* bias_gradient;    // (n_out padded)
};

// Sum over rows [row0, row1) of weight * loss, in float64; dy = weight * scale * dloss/dy where dy.data is not null.
// Losses other than cross_entropy average over the n_out columns.
template <class T>
struct LossArgs {
    std::size_t row0, row1, n_out;
    Matrix<const T> y;           // (rows, n_out): predictions, logits or log rates
    Matrix<const T> target;      // (rows, n_out), or data null where labels are given
    const std::int32_t* labels;  // (rows), cross_entropy only
    const T* weights;            // (rows), or null for 1
    Matrix<T> dy;                // (rows, n_out), or data null
    Loss loss;
    T parameter;  // huber: delta; quantile: q
    T scale;      // 1 / sum of the batch's weights
};

// Multiplies by 0 or 1 / (1 - p). Element (r, c) draws word c % 4 of Philox4x32-10 at counter {c / 4, r, step, layer}.
template <class T>
struct DropoutArgs {
    Block block;
    Matrix<const T> x;
    Matrix<T> y;  // may be x
    std::uint64_t seed;
    std::uint32_t step, layer;
    T p;
};

// Batch normalization of the columns of panels [panel0, panel1) over rows [0, rows).
template <class T>
struct BatchNormArgs {
    std::size_t rows, panel0, panel1;
    Matrix<const T> x;      // (rows, n)
    Matrix<T> y;            // (rows, n)
    const T* weight;        // (n padded)
    const T* bias;          // (n padded)
    T* mean;                // (n padded): of this batch, kept for the backward pass
    T* inverse_std;         // (n padded)
    const T* running_mean;  // (n padded)
    const T* running_var;   // (n padded)
    T* new_running_mean;    // training, (n padded): what they are after this batch
    T* new_running_var;     // training, (n padded)
    Matrix<const T> dy;     // backward: (rows, n)
    Matrix<T> dx;           // backward: (rows, n); may be dy
    T* weight_gradient;     // backward: (n padded)
    T* bias_gradient;       // backward: (n padded)
    T momentum, eps;
    std::int32_t training;  // 0: normalize by the running statistics, as a batch of one row does too
};

// Layer normalization of rows [row0, row1) over their n columns.
template <class T>
struct LayerNormArgs {
    std::size_t row0, row1, n;
    Matrix<const T> x;
    Matrix<T> y;
    const T* weight;     // (n padded)
    const T* bias;       // (n padded)
    T* mean;             // (rows): kept for the backward pass
    T* inverse_std;      // (rows)
    Matrix<const T> dy;  // backward
    Matrix<T> dx;        // backward; may be dy
    T eps;
};

// Gradients of layer normalization's weight and bias: sums over rows [0, rows) for panels [panel0, panel1).
template <class T>
struct LayerNormSumsArgs {
    std::size_t rows, panel0, panel1;
    Matrix<const T> x, dy;
    const T* mean;         // (rows)
    const T* inverse_std;  // (rows)
    T* weight_gradient;    // (n padded)
    T* bias_gradient;      // (n padded)
};

// The periodic features of one column of x (Gorishniy et al., On Embeddings for Numerical Features, 2022) for rows
// [row0, row1): the columns of y are cos(2 pi f x) for each of n frequencies f, then sin(2 pi f x), then 1.
template <class T>
struct PeriodicArgs {
    std::size_t row0, row1, n;
    const T* x;                 // row r's number at x[r * panel]
    Matrix<const T> frequency;  // (1, n)
    Matrix<T> y;                // (rows, 2 n + 1)
    Matrix<const T> dy;         // backward: (rows, 2 n)
    T* dx;                      // backward, as x: takes in the gradient
    Matrix<T> gradient;         // backward: (1, n), that of the frequencies; row0 is 0
};

// One column, rows [row0, row1), by lines between n >= 2 points, which increase; beyond them it is that of the nearest.
template <class T>
struct InterpolateArgs {
    std::size_t row0, row1, n;
    const T* x;  // number i at x[i * panel], and so on
    const T* points;
    const T* values;
    T* y;   // may be x
    T* dy;  // backward: is multiplied by the slope
};

// The piecewise linear encoding of one column (Gorishniy et al., as above) for rows [row0, row1), by n bins between n + 1
// edges, which increase: 1 in the columns of bins below the number, the place within its own bin, 0 above. The first bin has no
// end below, and the last none above; NaN is NaN in all bins. Behind them stands a 1, if `n_ones` is 1.
template <class T>
struct BinsArgs {
    std::size_t row0, row1, n, n_ones;
    const T* x;          // row r's number at x[r * panel]
    const T* edges;      // number i at edges[i * panel]
    Matrix<T> y;         // (rows, n + n_ones)
    Matrix<const T> dy;  // backward: (rows, n)
    T* dx;               // backward, as x: takes in the gradient
};

// The rows of a table that one column of labels picks, for rows [row0, row1): the labels 0 ... n_labels - 1 have a row each,
// then come that of a missing one, -1, and that of any other number.
template <class T>
struct PickArgs {
    std::size_t row0, row1, n_labels, n;
    const T* x;             // row r's label at x[r * panel]
    Matrix<const T> table;  // (n_labels + 2, n)
    Matrix<T> y;            // gets n columns from `column` on
    std::size_t column;
    Matrix<const T> dy;  // backward, laid out as y; row0 is 0
    std::size_t gradient_panel;
    Matrix<T> gradient;  // backward: (n_labels + 2, n), of which that panel is made
};

// Copies n columns, from from_column on, of rows [row0, row1) to those from to_column on of another matrix.
template <class T>
struct CopyArgs {
    std::size_t row0, row1, n;
    Matrix<const T> from;
    std::size_t from_column;
    Matrix<T> to;
    std::size_t to_column;
};

// The key of a number is the bits of its absolute value, as a whole number: keys are in order as absolute values are.
// Its bucket is the key's first kBucketBits bits. Neighboring lanes count in copies of their own: a count that was just
// written is slow to read back.
constexpr std::size_t kBucketBits = 11, kBuckets = std::size_t{1} << kBucketBits, kCountCopies = 4;

// As `update` under SGD, but only where |g| is above `least`, or is `least` among the first `ties` elements. Elsewhere
// neither w nor slot1 changes.
template <class T>
struct SelectedArgs {
    std::size_t n, ties;  // n: a multiple of lanes
    T* w;                 // (n)
    const T* g;           // (n)
    T* slot1;             // (n), or null without momentum
    const Update<T>* update;
    T least;
};

template <class T>
struct Kernels {
    std::size_t lanes;      // elements of a vector
    std::size_t panel;      // columns of a panel
    std::size_t tile_rows;  // rows of the largest register tile
    std::size_t scratch;    // elements of scratch that input_gradient needs

    void (*forward)(const ForwardArgs<T>*, const Block*);
    // scratch: Kernels::scratch elements, for this call alone.
    void (*input_gradient)(const InputGradientArgs<T>*, const Block*, std::size_t batch, T* scratch);
    // The updates: null, or that of the weight and that of the bias, which is the same without decay.
    void (*weight_gradient)(const WeightGradientArgs<T>*, const Block*, std::size_t batch, const Update<T>* weight,
                            const Update<T>* bias);

    // y = activation(x), and z = x where z.data is not null; y may be x.
    void (*activate)(const Block*, Matrix<const T> x, Matrix<T> y, Matrix<T> z, Activation, T alpha);
    // dy *= activation'; from the output y, or from the input z where the activation needs it.
    void (*activate_gradient)(const Block*, Matrix<T> dy, Matrix<const T> y, Matrix<const T> z, Activation, T alpha);
    void (*add)(const Block*, Matrix<const T> a, Matrix<const T> b, Matrix<T> y);  // y = a + b; y may be a or b

    double (*loss)(const LossArgs<T>*);
    void (*dropout)(const DropoutArgs<T>*);
    void (*batch_norm)(const BatchNormArgs<T>*);
    void (*batch_norm_gradient)(const BatchNormArgs<T>*);
    void (*layer_norm)(const LayerNormArgs<T>*);
    void (*layer_norm_gradient)(const LayerNormArgs<T>*);
    void (*layer_norm_sums)(const LayerNormSumsArgs<T>*);

    void (*scale)(const Block*, Matrix<const T> x, const T* scale, Matrix<T> y);  // y = x * scale by columns; y may be x
    // The gradient of the scale: sums over rows [0, row1) for the block's panels.
    void (*scale_gradient)(const Block*, Matrix<const T> x, Matrix<const T> dy, T* gradient);

    void (*periodic)(const PeriodicArgs<T>*);
    void (*periodic_gradient)(const PeriodicArgs<T>*);
    void (*periodic_input_gradient)(const PeriodicArgs<T>*);
    void (*interpolate)(const InterpolateArgs<T>*);
    void (*interpolate_gradient)(const InterpolateArgs<T>*);
    void (*bins)(const BinsArgs<T>*);
    void (*bins_input_gradient)(const BinsArgs<T>*);
    void (*pick)(const PickArgs<T>*);
    void (*pick_gradient)(const PickArgs<T>*);
    void (*copy_columns)(const CopyArgs<T>*);

    // n is a multiple of lanes.
    void (*update)(std::size_t n, T* w, const T* g, Slots<T>, const Update<T>*);
    double (*sum_squares)(std::size_t n, const T* g);
    // counts (kBuckets, kCountCopies): adds the numbers of each bucket.
    void (*count_buckets)(std::size_t n, const T* g, std::uint32_t* counts);
    // Writes |g| of those in this bucket to `to`; returns how many there are.
    std::size_t (*collect_bucket)(std::size_t n, const T* g, std::size_t bucket, T* to);
    void (*update_selected)(const SelectedArgs<T>*);

    // Copies `count` rows of n contiguous numbers, wherever they are, into the rows of y from `row0` on; returns 0 if one of
    // the numbers is not finite.
    std::int32_t (*gather_rows)(const T* const* x, std::size_t count, std::size_t n, std::size_t row0, Matrix<T> y);
    // Copies row `row` of x out to n contiguous numbers.
    void (*scatter_row)(Matrix<const T> x, std::size_t n, std::size_t row, T* y);
};

}  // namespace steepest
