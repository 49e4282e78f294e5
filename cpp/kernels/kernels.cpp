// One translation unit for each instruction set: the build gives the flags and the name.
#include "kernels.hpp"

#include "activations.inl"
#include "dense.inl"
#include "embedding.inl"
#include "loss.inl"
#include "norm.inl"
#include "optimizers.inl"
#include "panel.inl"
#include "rows.inl"
#include "tile.inl"
#include "top_k.inl"
#include "vec.inl"

#define STEEPEST_JOIN(a, b) a##b
#define STEEPEST_NAME(a, b) STEEPEST_JOIN(a, b)

namespace steepest {
namespace {

template <class T>
constexpr Kernels<T> make_table() {
    return {kLanes<T>,
            kPanel<T>,
            kTileRows,
            kScratch<T>,
            forward<T>,
            input_gradient<T>,
            weight_gradient<T>,
            activate<T>,
            activate_gradient<T>,
            add<T>,
            loss<T>,
            dropout<T>,
            batch_norm<T>,
            batch_norm_gradient<T>,
            layer_norm<T>,
            layer_norm_gradient<T>,
            layer_norm_sums<T>,
            scale<T>,
            scale_gradient<T>,
            periodic<T>,
            periodic_gradient<T>,
            periodic_input_gradient<T>,
            interpolate<T>,
            interpolate_gradient<T>,
            bins<T>,
            bins_input_gradient<T>,
            pick<T>,
            pick_gradient<T>,
            copy_columns<T>,
            update<T>,
            sum_squares<T>,
            count_buckets<T>,
            collect_bucket<T>,
            update_selected<T>,
            gather_rows<T>,
            scatter_row<T>};
}

}  // namespace

extern const Kernels<float> STEEPEST_NAME(kernels_f32_, STEEPEST_ISA);
extern const Kernels<double> STEEPEST_NAME(kernels_f64_, STEEPEST_ISA);
constexpr Kernels<float> STEEPEST_NAME(kernels_f32_, STEEPEST_ISA) = make_table<float>();
constexpr Kernels<double> STEEPEST_NAME(kernels_f64_, STEEPEST_ISA) = make_table<double>();

}  // namespace steepest
