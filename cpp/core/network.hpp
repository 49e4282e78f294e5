// A network: its layers in order, and the parameters that they own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "access.hpp"
#include "buffer.hpp"
#include "dispatch.hpp"
#include "parallel.hpp"

namespace steepest {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// One parameter or buffer, stored in panels; a vector is a matrix of one row.
template <class T>
struct Parameter {
    std::string name;
    std::size_t rows, columns;
    bool is_vector;
    bool trained;  // false: a buffer such as a running mean
    bool decays;   // weight decay applies
    PanelMatrix<T> value;
    PanelMatrix<T> gradient;   // empty until somebody asks for gradients
    double lr_multiplier = 1;  // 0: frozen
    bool is_variance = false;  // never below 0
    bool increases = false;    // from row to row

    std::string layer() const { return name.substr(0, name.rfind('.')); }
};

enum class LayerKind {
    dense,
    activation,
    dropout,
    batch_norm,
    layer_norm,
    feature_scale,
    periodic_embedding,
    piecewise_linear,
    piecewise_linear_embedding,
    category_embedding,
    residual_begin,
    residual_end
};

struct Layer {
    LayerKind kind;
    std::size_t n_in, n_out;
    Activation activation = Activation::identity;
    double alpha = 0;              // of the activation
    double p = 0;                  // dropout
    double momentum = 0, eps = 0;  // normalization
    std::size_t weight = kNone, bias = kNone, mean = kNone, variance = kNone, frequency = kNone, points = kNone,
                values = kNone;              // indices of parameters
    std::vector<std::size_t> columns = {};   // that are embedded
    std::size_t n_features = 0, size = 0;    // of each of them; without a weight the features are what is put beside
    std::vector<std::size_t> n_labels = {};  // of each of them, where they are labels
};

enum class Init { zeros, he_uniform, he_normal, glorot_uniform, glorot_normal, lecun_uniform, lecun_normal };

template <class T>
class Network {
public:
    using Scalar = T;

    Network(std::size_t n_in, std::uint64_t seed);

    void add_dense(const std::string& name, std::size_t n_out, bool bias, Init init);
    void add_activation(Activation activation, double alpha);
    void add_dropout(double p);
    void add_batch_norm(const std::string& name, double momentum, double eps);
    void add_layer_norm(const std::string& name, double eps);
    void add_feature_scale(const std::string& name);
    // `activation` is identity or relu; the first frequencies are normal with deviation `sigma`.
    void add_periodic_embedding(const std::string& name, std::vector<std::size_t> columns, std::size_t n_frequencies,
                                std::size_t size, Activation activation, double sigma);
    // These columns go through lines between so many points, of which the first are those of y = x within -1 and 1.
    void add_piecewise_linear(const std::string& name, std::vector<std::size_t> columns, std::size_t n_points);
    // So many bins of these columns, at first evenly within -2 and 2. `size` is 0 where there is no linear map of them.
    void add_piecewise_linear_embedding(const std::string& name, std::vector<std::size_t> columns, std::size_t n_bins,
                                        std::size_t size, Activation activation);
    // These columns are labels, so many of each; they become the rows of tables, whose last two, for missing and unknown
    // ones, begin at zero.
    void add_category_embedding(const std::string& name, std::vector<std::size_t> columns, std::vector<std::size_t> n_labels,
                                std::size_t size);
    void begin_residual();
    void end_residual();

    std::size_t n_in() const { return n_in_; }
    std::size_t n_out() const { return n_out_; }
    std::uint64_t seed() const { return seed_; }
    const Isa& isa() const { return isa_; }
    const Kernels<T>& kernels() const { return kernels_of<T>(isa_); }
    const std::vector<Layer>& layers() const { return layers_; }
    const std::vector<std::unique_ptr<Parameter<T>>>& parameters() const { return parameters_; }
    // Who reads parameters, gradients or what trainers keep beside them holds it to read, who changes any holds it to write;
    // the functions here leave that to their callers.
    Access& access() const { return access_; }
    std::size_t state_size() const { return state_size_; }    // numbers of all parameters and buffers
    const Parameter<T>* find(const std::string& name) const;  // null where there is none of this name
    bool is_finite() const;                                   // whether all of them are
    T largest() const;                                        // the largest magnitude, not finite where one of them is not

    void set_lr_multiplier(const std::string& layer, double multiplier);  // for the parameters of the layer of this name
    void allocate_gradients();
    // A copy where the parameters that have a matrix in `values` have that one's numbers.
    std::unique_ptr<Network> with_values(const std::vector<PanelMatrix<T>>& values) const;
    // Throws OutOfMemory where a network of so many numbers could not be held.
    static void check_size(std::size_t numbers);

    // Row-major copies in and out.
    void read(const Parameter<T>& parameter, const PanelMatrix<T>& from, T* out) const;
    void write(const Parameter<T>& parameter, const T* values, const PanelMatrix<T>& to) const;

private:
    Network(const Network& shape, bool)
        : n_in_(shape.n_in_), n_out_(shape.n_out_), seed_(shape.seed_), isa_(shape.isa_), layers_(shape.layers_),
          places_(shape.places_), firsts_(shape.firsts_), state_size_(shape.state_size_) {}
    void check_columns(const std::string& name, const std::vector<std::size_t>& columns) const;
    std::size_t add_parameter(const std::string& name, std::size_t rows, std::size_t columns, bool is_vector, T fill);
    // A buffer (n_points, columns) whose rows are evenly spaced numbers.
    std::size_t add_points(const std::string& name, std::size_t n_points, std::size_t columns, double first, double last);
    std::size_t add_maps(const std::string& name, std::size_t columns, std::size_t n_features, std::size_t size);
    void initialize(Parameter<T>& weight, Init init);
    template <class F>
    void fill(Parameter<T>& weight, F draw);

    std::size_t n_in_, n_out_;
    std::uint64_t seed_;
    const Isa& isa_;
    std::vector<Layer> layers_;
    std::vector<std::unique_ptr<Parameter<T>>> parameters_;
    std::unordered_map<std::string, std::size_t> places_;  // of the parameters, by name
    std::unordered_map<std::string, std::size_t> firsts_;  // the first parameter of each layer, by the layer's name
    std::size_t state_size_ = 0;
    mutable Access access_;
    std::vector<std::size_t> open_;  // sizes at the open residual branches
};

// f(parameter's index, its panel, number of the panel among all) for this member's share of the panels of those parameters
// in [first, last) that are wanted(index). The share is one of rows, of which the panels of a vector have one.
template <class T, class W, class F>
void each_panel(const Network<T>& network, std::size_t first, std::size_t last, Share share, W wanted, F f) {
    const auto panels = [&](std::size_t i) { return panels_of(network.parameters()[i]->columns, network.kernels().panel); };
    std::size_t total = 0, row = 0, number = 0;
    for (std::size_t i = first; i < last; ++i) total += wanted(i) ? panels(i) * network.parameters()[i]->rows : 0;
    const Range part = share.split(total);
    for (std::size_t i = first; i < last; ++i) {
        if (!wanted(i)) continue;
        for (std::size_t panel = 0; panel < panels(i); ++panel, ++number, row += network.parameters()[i]->rows) {
            if (row >= part.begin && row < part.end) f(i, panel, number);
        }
    }
}

}  // namespace steepest
