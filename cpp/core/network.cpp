#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "array_view.hpp"
#include "random.hpp"

namespace steepest {

template <class T>
Network<T>::Network(std::size_t n_in, std::uint64_t seed) : n_in_(n_in), n_out_(n_in), seed_(seed), isa_(current_isa()) {
    if (n_in == 0) throw std::invalid_argument("n_in is 0, expected at least 1");
    constexpr std::size_t most = kMostBytes / sizeof(T) / 256;  // whole panels of them are counted
    if (n_in > most) {
        throw std::invalid_argument("n_in is " + std::to_string(n_in) + ", expected at most " + std::to_string(most));
    }
}

template <class T>
std::size_t Network<T>::add_parameter(const std::string& name, std::size_t rows, std::size_t columns, bool is_vector, T fill) {
    const std::size_t numbers = capped_product(rows + 1, capped_product(columns + kernels().panel, 2 * sizeof(T)));
    if (columns > kMostBytes / 2 || numbers >= kMostBytes) {
        throw std::invalid_argument("layer " + name.substr(0, name.rfind('.')) + ": a " + name.substr(name.rfind('.') + 1) +
                                    " of (" + std::to_string(rows) + ", " + std::to_string(columns) +
                                    ") is too large for memory");
    }
    check_size(state_size_ + rows * columns);
    auto parameter = std::make_unique<Parameter<T>>(
        Parameter<T>{name, rows, columns, is_vector, true, false, PanelMatrix<T>(rows, columns, kernels().panel), {}});
    if (fill != T(0)) {
        for (std::size_t c = 0; c < columns; ++c)
            parameter->value.matrix().data[c / kernels().panel * parameter->value.matrix().stride + c % kernels().panel] = fill;
    }
    parameters_.push_back(std::move(parameter));
    places_.emplace(name, parameters_.size() - 1);
    firsts_.emplace(parameters_.back()->layer(), parameters_.size() - 1);
    state_size_ += rows * columns;
    return parameters_.size() - 1;
}

template <class T>
void Network<T>::add_dense(const std::string& name, std::size_t n_out, bool bias, Init init) {
    if (n_out == 0) throw std::invalid_argument("n_out is 0, expected at least 1");
    Layer layer{LayerKind::dense, n_out_, n_out};
    layer.weight = add_parameter(name + ".weight", n_out_, n_out, false, T(0));
    if (bias) layer.bias = add_parameter(name + ".bias", 1, n_out, true, T(0));
    parameters_[layer.weight]->decays = true;
    initialize(*parameters_[layer.weight], init);
    layers_.push_back(layer);
    n_out_ = n_out;
}

template <class T>
void Network<T>::add_activation(Activation activation, double alpha) {
    if (!(std::fabs(alpha) <= std::numeric_limits<T>::max())) {
        std::ostringstream found;
        found << "alpha is " << alpha << ", expected at most " << std::numeric_limits<T>::max() << ", the largest number of "
              << (sizeof(T) == 4 ? "float32" : "float64");
        throw std::invalid_argument(found.str());
    }
    Layer layer{LayerKind::activation, n_out_, n_out_};
    layer.activation = activation;
    layer.alpha = alpha;
    layers_.push_back(layer);
}

template <class T>
void Network<T>::add_dropout(double p) {
    Layer layer{LayerKind::dropout, n_out_, n_out_};
    layer.p = p;
    layers_.push_back(layer);
}

template <class T>
void Network<T>::add_batch_norm(const std::string& name, double momentum, double eps) {
    Layer layer{LayerKind::batch_norm, n_out_, n_out_};
    layer.momentum = momentum;
    layer.eps = eps;
    layer.weight = add_parameter(name + ".weight", 1, n_out_, true, T(1));
    layer.bias = add_parameter(name + ".bias", 1, n_out_, true, T(0));
    layer.mean = add_parameter(name + ".running_mean", 1, n_out_, true, T(0));
    layer.variance = add_parameter(name + ".running_var", 1, n_out_, true, T(1));
    parameters_[layer.mean]->trained = parameters_[layer.variance]->trained = false;
    parameters_[layer.variance]->is_variance = true;
    layers_.push_back(layer);
}

template <class T>
void Network<T>::add_layer_norm(const std::string& name, double eps) {
    Layer layer{LayerKind::layer_norm, n_out_, n_out_};
    layer.eps = eps;
    layer.weight = add_parameter(name + ".weight", 1, n_out_, true, T(1));
    layer.bias = add_parameter(name + ".bias", 1, n_out_, true, T(0));
    layers_.push_back(layer);
}

template <class T>
void Network<T>::add_feature_scale(const std::string& name) {
    Layer layer{LayerKind::feature_scale, n_out_, n_out_};
    layer.weight = add_parameter(name + ".scale", 1, n_out_, false, T(1));
    layers_.push_back(layer);
}

template <class T>
void Network<T>::check_columns(const std::string& name, const std::vector<std::size_t>& columns) const {
    if (columns.empty()) throw std::invalid_argument("layer " + name + ": expected at least one column");
    for (const std::size_t c : columns) {
        if (c >= n_out_) throw std::invalid_argument("layer " + name + ": there is no column " + std::to_string(c));
    }
}

template <class T>
std::size_t Network<T>::add_points(const std::string& name, std::size_t n_points, std::size_t columns, double first,
                                   double last) {
    const std::size_t index = add_parameter(name, n_points, columns, false, T(0));
    parameters_[index]->trained = false;
    const double step = (last - first) / static_cast<double>(n_points - 1);
    std::vector<T> row(columns);
    for (std::size_t r = 0; r < n_points; ++r) {
        std::fill(row.begin(), row.end(), static_cast<T>(step * static_cast<double>(r) + first));
        gather_row<T>(kernels(), row.data(), row.size(), r, parameters_[index]->value.matrix());
    }
    return index;
}

template <class T>
void Network<T>::add_piecewise_linear(const std::string& name, std::vector<std::size_t> columns, std::size_t n_points) {
    check_columns(name, columns);
    if (n_points < 2) throw std::invalid_argument("layer " + name + ": expected at least 2 points");
    Layer layer{LayerKind::piecewise_linear, n_out_, n_out_};
    layer.points = add_points(name + ".points", n_points, columns.size(), -1, 1);
    layer.values = add_points(name + ".values", n_points, columns.size(), -1, 1);
    parameters_[layer.points]->increases = true;
    layer.columns = std::move(columns);
    layers_.push_back(std::move(layer));
}

// Linear maps of the features of columns, which begin as PyTorch's do; the last row of a column's map is its bias.
template <class T>
std::size_t Network<T>::add_maps(const std::string& name, std::size_t columns, std::size_t n_features, std::size_t size) {
    const std::size_t rows = capped_product(columns, n_features + 1);
    const std::size_t index = add_parameter(name + ".weight", rows, size, false, T(0));
    const double bound = 1 / std::sqrt(static_cast<double>(n_features));
    fill(*parameters_.back(), [=](Random& random) { return bound * (2 * random.uniform() - 1); });
    parameters_.back()->decays = true;
    return index;
}

template <class T>
void Network<T>::add_periodic_embedding(const std::string& name, std::vector<std::size_t> columns, std::size_t n_frequencies,
                                        std::size_t size, Activation activation, double sigma) {
    check_columns(name, columns);
    if (n_frequencies == 0 || size == 0) throw std::invalid_argument("layer " + name + ": expected a frequency and an output");
    const std::size_t n_made = capped_product(columns.size(), size);
    Layer layer{LayerKind::periodic_embedding, n_out_, n_out_ + n_made};
    layer.n_features = 2 * n_frequencies;
    layer.size = size;
    layer.activation = activation;
    layer.weight = add_maps(name, columns.size(), layer.n_features, size);
    layer.frequency = add_parameter(name + ".frequency", columns.size(), n_frequencies, false, T(0));
    fill(*parameters_.back(), [=](Random& random) { return sigma * random.normal(); });
    layer.columns = std::move(columns);
    n_out_ = layer.n_out;
    layers_.push_back(std::move(layer));
}

template <class T>
void Network<T>::add_piecewise_linear_embedding(const std::string& name, std::vector<std::size_t> columns, std::size_t n_bins,
                                                std::size_t size, Activation activation) {
    check_columns(name, columns);
    if (n_bins == 0) throw std::invalid_argument("layer " + name + ": expected a bin");
    const std::size_t n_made = capped_product(columns.size(), size ? size : n_bins);
    Layer layer{LayerKind::piecewise_linear_embedding, n_out_, n_out_ + n_made};
    layer.n_features = n_bins;
    layer.size = size ? size : n_bins;
    layer.activation = activation;
    if (size) layer.weight = add_maps(name, columns.size(), n_bins, size);
    layer.points = add_points(name + ".edges", n_bins + 1, columns.size(), -2, 2);
    parameters_[layer.points]->increases = true;
    layer.columns = std::move(columns);
    n_out_ = layer.n_out;
    layers_.push_back(std::move(layer));
}

template <class T>
void Network<T>::add_category_embedding(const std::string& name, std::vector<std::size_t> columns,
                                        std::vector<std::size_t> n_labels, std::size_t size) {
    check_columns(name, columns);
    if (n_labels.size() != columns.size()) throw std::invalid_argument("layer " + name + ": expected labels of each column");
    if (size == 0) throw std::invalid_argument("layer " + name + ": expected an output");
    Layer layer{LayerKind::category_embedding, n_out_, n_out_ - columns.size() + capped_product(columns.size(), size)};
    layer.size = size;
    std::size_t rows = 0;
    for (const std::size_t n : n_labels) rows += n + 2;
    layer.weight = add_parameter(name + ".weight", rows, size, false, T(0));
    Parameter<T>& weight = *parameters_.back();
    weight.decays = true;
    const double bound = 1 / std::sqrt(static_cast<double>(size));
    fill(weight, [=](Random& random) { return bound * (2 * random.uniform() - 1); });
    const std::vector<T> zeros(size);
    std::size_t end = 0;  // of a column's table
    for (const std::size_t n : n_labels) {
        end += n + 2;
        for (const std::size_t row : {end - 2, end - 1})
            gather_row<T>(kernels(), zeros.data(), size, row, weight.value.matrix());
    }
    layer.columns = std::move(columns);
    layer.n_labels = std::move(n_labels);
    n_out_ = layer.n_out;
    layers_.push_back(std::move(layer));
}

template <class T>
void Network<T>::begin_residual() {
    layers_.push_back({LayerKind::residual_begin, n_out_, n_out_});
    open_.push_back(n_out_);
}

template <class T>
void Network<T>::end_residual() {
    if (open_.empty()) throw std::invalid_argument("end_residual without begin_residual");
    if (open_.back() != n_out_) {
        throw std::invalid_argument("a residual branch gives " + std::to_string(n_out_) + " outputs, expected its input's " +
                                    std::to_string(open_.back()));
    }
    open_.pop_back();
    layers_.push_back({LayerKind::residual_end, n_out_, n_out_});
}

// He et al. (2015), Glorot and Bengio (2010), LeCun et al. (1998); a uniform on +-bound has deviation bound / sqrt(3).
template <class T>
void Network<T>::initialize(Parameter<T>& weight, Init init) {
    if (init == Init::zeros) return;
    const auto n_in = static_cast<double>(weight.rows), n_out = static_cast<double>(weight.columns);
    const bool he = init == Init::he_uniform || init == Init::he_normal;
    const bool glorot = init == Init::glorot_uniform || init == Init::glorot_normal;
    const bool is_uniform = init == Init::he_uniform || init == Init::glorot_uniform || init == Init::lecun_uniform;
    const double variance = he ? 2 / n_in : glorot ? 2 / (n_in + n_out) : 1 / n_in;
    const double bound = std::sqrt(3 * variance), deviation = std::sqrt(variance);
    fill(weight, [=](Random& random) { return is_uniform ? bound * (2 * random.uniform() - 1) : deviation * random.normal(); });
}

// Fills the parameter that was added last with draw(Random&).
template <class T>
template <class F>
void Network<T>::fill(Parameter<T>& parameter, F draw) {
    Random random(seed_, Stream::weights, static_cast<std::uint32_t>(parameters_.size()));
    std::vector<T> row(parameter.columns);
    for (std::size_t r = 0; r < parameter.rows; ++r) {
        for (T& value : row) value = static_cast<T>(draw(random));
        gather_row<T>(kernels(), row.data(), row.size(), r, parameter.value.matrix());
    }
}

template <class T>
const Parameter<T>* Network<T>::find(const std::string& name) const {
    const auto found = places_.find(name);
    return found == places_.end() ? nullptr : parameters_[found->second].get();
}

template <class T>
bool Network<T>::is_finite() const {
    return largest() <= std::numeric_limits<T>::max();
}

template <class T>
T Network<T>::largest() const {
    T found = 0;
    for (const auto& p : parameters_) {
        const T here = largest_magnitude(p->value.buffer());
        if (!(here <= found)) found = here;
        if (!std::isfinite(found)) break;
    }
    return found;
}

template <class T>
void Network<T>::set_lr_multiplier(const std::string& layer, double multiplier) {
    const auto first = firsts_.find(layer);
    if (first == firsts_.end()) return;
    for (std::size_t i = first->second; i < parameters_.size() && parameters_[i]->layer() == layer; ++i) {
        if (parameters_[i]->trained) parameters_[i]->lr_multiplier = multiplier;
    }
}

template <class T>
void Network<T>::allocate_gradients() {
    for (const auto& p : parameters_) {
        if (p->trained && !p->gradient.buffer().data()) p->gradient = PanelMatrix<T>(p->rows, p->columns, kernels().panel);
    }
}

template <class T>
std::unique_ptr<Network<T>> Network<T>::with_values(const std::vector<PanelMatrix<T>>& values) const {
    std::unique_ptr<Network> copy(new Network(*this, true));
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        const Parameter<T>& p = *parameters_[i];
        const Buffer<T>& from = i < values.size() && values[i].buffer().data() ? values[i].buffer() : p.value.buffer();
        copy->parameters_.push_back(std::make_unique<Parameter<T>>(Parameter<T>{
            p.name, p.rows, p.columns, p.is_vector, p.trained, p.decays, {p.rows, p.columns, kernels().panel}, {}}));
        std::copy_n(from.data(), from.size(), copy->parameters_.back()->value.buffer().data());
    }
    return copy;
}

template <class T>
void Network<T>::check_size(std::size_t numbers) {
    const std::size_t bytes = capped_product(numbers, sizeof(T));
    if (bytes < kMostBytes) check_memory(bytes, "the network's parameters");
}

template <class T>
void Network<T>::read(const Parameter<T>& parameter, const PanelMatrix<T>& from, T* out) const {
    for (std::size_t r = 0; r < parameter.rows; ++r) {
        kernels().scatter_row(from.view(), parameter.columns, r, out + r * parameter.columns);
    }
}

template <class T>
void Network<T>::write(const Parameter<T>& parameter, const T* values, const PanelMatrix<T>& to) const {
    for (std::size_t r = 0; r < parameter.rows; ++r) {
        gather_row(kernels(), values + r * parameter.columns, parameter.columns, r, to.matrix());
    }
}

template class Network<float>;
template class Network<double>;

}  // namespace steepest
