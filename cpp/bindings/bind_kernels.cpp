// The addresses of the kernels, by which tests call them one by one.
#include <cstdint>

#include "../core/dispatch.hpp"
#include "bind.hpp"

namespace steepest {
namespace {

template <class T>
py::dict addresses(const Kernels<T>& k) {
    py::dict table;
    table["lanes"] = k.lanes;
    table["panel"] = k.panel;
    table["tile_rows"] = k.tile_rows;
    table["scratch"] = k.scratch;
    const auto add = [&](const char* name, auto function) { table[name] = reinterpret_cast<std::uintptr_t>(function); };
    add("forward", k.forward);
    add("input_gradient", k.input_gradient);
    add("weight_gradient", k.weight_gradient);
    add("activate", k.activate);
    add("activate_gradient", k.activate_gradient);
    add("add", k.add);
    add("loss", k.loss);
    add("dropout", k.dropout);
    add("batch_norm", k.batch_norm);
    add("batch_norm_gradient", k.batch_norm_gradient);
    add("layer_norm", k.layer_norm);
    add("layer_norm_gradient", k.layer_norm_gradient);
    add("layer_norm_sums", k.layer_norm_sums);
    add("scale", k.scale);
    add("scale_gradient", k.scale_gradient);
    add("periodic", k.periodic);
    add("periodic_gradient", k.periodic_gradient);
    add("periodic_input_gradient", k.periodic_input_gradient);
    add("interpolate", k.interpolate);
    add("interpolate_gradient", k.interpolate_gradient);
    add("bins", k.bins);
    add("bins_input_gradient", k.bins_input_gradient);
    add("pick", k.pick);
    add("pick_gradient", k.pick_gradient);
    add("copy_columns", k.copy_columns);
    add("update", k.update);
    add("sum_squares", k.sum_squares);
    add("count_buckets", k.count_buckets);
    add("collect_bucket", k.collect_bucket);
    add("update_selected", k.update_selected);
    add("gather_rows", k.gather_rows);
    add("scatter_row", k.scatter_row);
    return table;
}

py::dict kernel_table(const std::string& isa, const std::string& dtype) {
    const bool single = choose<bool>(dtype, "dtype", {{"float32", true}, {"float64", false}});
    return single ? addresses(*find_isa(isa).f32) : addresses(*find_isa(isa).f64);
}

}  // namespace

void bind_kernels(py::module_& m) { m.def("kernel_table", &kernel_table, py::arg("isa"), py::arg("dtype")); }

}  // namespace steepest
