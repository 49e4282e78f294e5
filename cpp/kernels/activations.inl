// Activations: one vector at a time, applied to whole blocks or to a tile that is still hot.
#pragma once

#include "kernels.hpp"
#include "panel.inl"
#include "vec.inl"

namespace steepest {
namespace {

// Each activation y = value(z), and its derivative slope(y, z), which reads z alone where slope_needs_input, else y alone.
template <class T>
struct Identity {
    static constexpr Activation kActivation = Activation::identity;
    static Vec<T> value(Vec<T> z, T) { return z; }
    static Vec<T> slope(Vec<T>, Vec<T>, T) { return splat<T>(T(1)); }
};

template <class T>
struct Relu {
    static constexpr Activation kActivation = Activation::relu;
    static Vec<T> value(Vec<T> z, T) { return select<T>(z < T(0), Vec<T>{}, z); }  // keeps a NaN
    static Vec<T> slope(Vec<T> y, Vec<T>, T) { return select<T>(y > T(0), splat<T>(T(1)), Vec<T>{}); }
};

template <class T>
struct LeakyRelu {
    static constexpr Activation kActivation = Activation::leaky_relu;
    static Vec<T> value(Vec<T> z, T alpha) { return select<T>(z < T(0), z * alpha, z); }
    static Vec<T> slope(Vec<T> y, Vec<T>, T alpha) { return select<T>(y > T(0), splat<T>(T(1)), splat<T>(alpha)); }
};

template <class T>
struct Elu {
    static constexpr Activation kActivation = Activation::elu;
    static Vec<T> value(Vec<T> z, T alpha) {
        return select<T>(z > T(0), z, alpha * expm1_negative<T>(select<T>(z > T(0), Vec<T>{}, z)));
    }
    static Vec<T> slope(Vec<T> y, Vec<T>, T alpha) { return select<T>(y > T(0), splat<T>(T(1)), y + alpha); }
};

// Klambauer et al., Self-Normalizing Neural Networks (2017).
template <class T>
struct Selu {
    static constexpr Activation kActivation = Activation::selu;
    static constexpr T kScale = T(1.0507009873554804934193349852946);
    static constexpr T kAlpha = T(1.6732632423543772848170429916717);
    static Vec<T> value(Vec<T> z, T) { return kScale * Elu<T>::value(z, kAlpha); }
    static Vec<T> slope(Vec<T> y, Vec<T>, T) { return select<T>(y > T(0), splat<T>(kScale), y + kScale * kAlpha); }
};

template <class T>
struct Gelu {
    static constexpr Activation kActivation = Activation::gelu;
    static Vec<T> value(Vec<T> z, T) { return z * normal<T>(z).below; }
    static Vec<T> slope(Vec<T>, Vec<T> z, T) {
        const Normal<T> n = normal<T>(z);
        return n.below + z * n.density;
    }
};

template <class T>
struct Silu {
    static constexpr Activation kActivation = Activation::silu;
    static Vec<T> value(Vec<T> z, T) { return z * sigmoid<T>(z); }
    static Vec<T> slope(Vec<T>, Vec<T> z, T) {
        const Vec<T> e = exp<T>(-absolute<T>(z));  // of z and of -z
        return sigmoid_by<T>(e, z) * (T(1) + z * sigmoid_by<T>(e, -z));
    }
};

template <class T>
struct Sigmoid {
    static constexpr Activation kActivation = Activation::sigmoid;
    static Vec<T> value(Vec<T> z, T) { return sigmoid<T>(z); }
    static Vec<T> slope(Vec<T> y, Vec<T>, T) { return y * (T(1) - y); }
};

template <class T>
struct Tanh {
    static constexpr Activation kActivation = Activation::tanh;
    static Vec<T> value(Vec<T> z, T) { return tanh<T>(z); }
    static Vec<T> slope(Vec<T> y, Vec<T>, T) { return T(1) - y * y; }
};

template <class T>
struct Softplus {
    static constexpr Activation kActivation = Activation::softplus;
    static Vec<T> value(Vec<T> z, T) { return softplus<T>(z); }
    static Vec<T> slope(Vec<T> y, Vec<T>, T) { return -expm1_negative<T>(-y); }
};

// z tanh(softplus(z)) (Misra, 2019). With w = e^z the tanh is n / (n + 2), n = w (w + 2); past 20 it is 1 to the last bit.
template <class T>
struct Mish {
    static constexpr Activation kActivation = Activation::mish;
    static Vec<T> value(Vec<T> z, T) {
        const Vec<T> w = exp<T>(select<T>(z > T(20), splat<T>(T(20)), z));
        const Vec<T> n = w * (w + T(2));
        return z * (n / (n + T(2)));
    }
    static Vec<T> slope(Vec<T>, Vec<T> z, T) {
        const Vec<T> w = exp<T>(select<T>(z > T(20), splat<T>(T(20)), z));
        const Vec<T> n = w * (w + T(2));
        const Vec<T> inverse = T(1) / (n + T(2));
        return n * inverse + select<T>(z > T(20), Vec<T>{}, z * (T(4) * w * (w + T(1)) * inverse * inverse));
    }
};

// Calls f with an object of the activation's type.
template <class T, class F>
inline auto with_activation(Activation activation, F f) {
    switch (activation) {
        case Activation::relu: return f(Relu<T>{});
        case Activation::leaky_relu: return f(LeakyRelu<T>{});
        case Activation::elu: return f(Elu<T>{});
        case Activation::selu: return f(Selu<T>{});
        case Activation::gelu: return f(Gelu<T>{});
        case Activation::silu: return f(Silu<T>{});
        case Activation::sigmoid: return f(Sigmoid<T>{});
        case Activation::tanh: return f(Tanh<T>{});
        case Activation::softplus: return f(Softplus<T>{});
        case Activation::mish: return f(Mish<T>{});
        case Activation::identity: break;
    }
    return f(Identity<T>{});
}

// z <- value(z) on rows of one panel, the input kept in `kept` unless null.
template <class T>
using ActivateRows = void (*)(std::size_t rows, std::size_t vectors, const T* z, T* y, T* kept, T alpha);

template <class T>
ActivateRows<T> activate_rows(Activation activation) {
    return with_activation<T>(activation, [](auto act) -> ActivateRows<T> {
        using Act = decltype(act);
        return [](std::size_t rows, std::size_t vectors, const T* z, T* y, T* kept, T alpha) {
            each_vector<T>(rows, vectors, [=](std::size_t i) {
                const Vec<T> v = load(z + i);
                if (kept) store<T>(kept + i, v);
                store<T>(y + i, Act::value(v, alpha));
            });
        };
    });
}

// dy *= slope on rows of one panel.
template <class T>
using SlopeRows = void (*)(std::size_t rows, std::size_t vectors, T* dy, const T* y, const T* z, T alpha);

template <class T>
SlopeRows<T> slope_rows(Activation activation) {
    return with_activation<T>(activation, [](auto act) -> SlopeRows<T> {
        using Act = decltype(act);
        constexpr bool kOfInput = slope_needs_input(Act::kActivation);
        return [](std::size_t rows, std::size_t vectors, T* dy, const T* y, const T* z, T alpha) {
            each_vector<T>(rows, vectors, [=](std::size_t i) {
                const Vec<T> output = kOfInput ? Vec<T>{} : load(y + i);
                const Vec<T> input = kOfInput ? load(z + i) : Vec<T>{};
                store<T>(dy + i, load(dy + i) * Act::slope(output, input, alpha));
            });
        };
    });
}

template <class T>
void activate(const Block* b, Matrix<const T> x, Matrix<T> y, Matrix<T> z, Activation activation, T alpha) {
    const auto rows = activate_rows<T>(activation);
    for (std::size_t p = b->panel0; p < b->panel1; ++p) {
        rows(b->row1 - b->row0, kPanelVectors, panel_row(x, p, b->row0), panel_row(y, p, b->row0),
             panel_row_or_null(z, p, b->row0), alpha);
    }
}

template <class T>
void activate_gradient(const Block* b, Matrix<T> dy, Matrix<const T> y, Matrix<const T> z, Activation activation, T alpha) {
    const auto rows = slope_rows<T>(activation);
    for (std::size_t p = b->panel0; p < b->panel1; ++p) {
        rows(b->row1 - b->row0, kPanelVectors, panel_row(dy, p, b->row0), panel_row_or_null(y, p, b->row0),
             panel_row_or_null(z, p, b->row0), alpha);
    }
}

template <class T>
void add(const Block* block, Matrix<const T> a, Matrix<const T> b, Matrix<T> y) {
    for (std::size_t p = block->panel0; p < block->panel1; ++p) {
        for (std::size_t i = block->row0 * kPanel<T>; i < block->row1 * kPanel<T>; i += kLanes<T>) {
            store<T>(y.data + p * y.stride + i, load(a.data + p * a.stride + i) + load(b.data + p * b.stride + i));
        }
    }
}

}  // namespace
}  // namespace steepest
