#include "measurement.hpp"

#include <algorithm>
#include <stdexcept>

namespace steepest {

void check_positive(double weight_sum, const std::string& name) {
    if (!(weight_sum > 0)) throw std::invalid_argument(name + " sums to 0, expected a positive sum");
}

std::vector<std::pair<std::string, double>> Evaluation::results() const {
    check_positive(sum.weight, "sample_weight");
    return metrics.results(sum.loss / sum.weight);
}

template <class T>
double Measurement<T>::advance() {
    const Rows rows = data_.some(done_, std::min(batch_.plan.capacity(), data_.rows() - done_));
    with_batch(kernels_, batch_, data_, rows, [&](Share share) {
        if (share.leads()) weight_ += batch_.targets.weight_sum(rows.count);
        if (evaluation_) measure(rows, share);
    });
    done_ += rows.count;
    return batch_.plan.work(rows.count);
}

template <class T>
void Measurement<T>::measure(const Rows& rows, Share share) {
    Targets<T>& targets = batch_.targets;
    const Matrix<T> output = batch_.plan.output();  // (rows, n_out)
    batch_.plan.forward({rows.count, 0, 0}, share);
    share.sync();  // the outputs stand
    targets.loss({output.data, output.stride}, {}, rows.count, 1, share);
    share.sync();  // the loss chunks stand
    if (!share.leads()) return;
    const std::size_t n_out = targets.n_out(), panel = kernels_.panel;
    std::vector<double> y_row(n_out), t_row(n_out);
    const auto read = [&](Matrix<const T> from, std::size_t row, std::vector<double>& to) {
        for (std::size_t c = 0; c < n_out; ++c) {
            to[c] = static_cast<double>(from.data[c / panel * from.stride + row * panel + c % panel]);
        }
        return to.data();
    };
    evaluation_->sum.loss += targets.sum_loss_chunks(rows.count);
    for (std::size_t row = 0; row < rows.count; ++row) {
        const double weight = targets.row_weight(row);
        evaluation_->sum.weight += weight;
        const double* t = targets.labeled() ? nullptr : read(targets.rows(), row, t_row);
        evaluation_->metrics.add(read({output.data, output.stride}, row, y_row), t, t ? 0 : targets.label(row), weight);
    }
}

template class Measurement<float>;
template class Measurement<double>;

}  // namespace steepest
