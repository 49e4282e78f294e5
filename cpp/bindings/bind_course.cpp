// Fits that run in the core from their first epoch to the last, many at once.
#include <algorithm>
#include <deque>

#include "../core/course.hpp"
#include "py_trainer.hpp"

namespace steepest {
namespace {

using Rates = std::shared_ptr<RateTable>;

constexpr std::size_t kFew = 16;  // courses whose memory stays with their trainers

struct PyCourse {
    py::object trainer;  // that it trains
    std::unique_ptr<Arguments> training, validation;
    std::unique_ptr<Course> course;
    bool checked = false;

    PyTrainer& own() const { return py::cast<PyTrainer&>(trainer); }
};

// (x, y, sample_weight, rows)
using RowsTuple = std::tuple<py::object, py::object, py::object, std::optional<Indices>>;
// (monitor, sign, patience, min_delta, restore_best)
using RuleTuple = std::tuple<std::string, double, std::size_t, double, bool>;

std::unique_ptr<Arguments> read_rows(const RowsTuple& rows, const std::string& prefix) {
    const auto& [x, y, weights, places] = rows;
    auto read = std::make_unique<Arguments>(x, y, weights, false, prefix);
    if (places) read->choose(*places, prefix);
    return read;
}

std::unique_ptr<PyCourse> make_course(const py::object& trainer, const RowsTuple& rows,
                                      const std::optional<RowsTuple>& validation, std::size_t epochs, std::size_t batch_size,
                                      bool shuffle, bool rollback, const std::optional<std::vector<std::string>>& metrics,
                                      const std::vector<double>& units, const std::optional<RuleTuple>& stopping) {
    auto made = std::make_unique<PyCourse>();
    made->trainer = trainer;
    made->training = read_rows(rows, "");
    if (validation) made->validation = read_rows(*validation, "validation ");
    CourseSettings settings{epochs, batch_size, shuffle, rollback, metrics, units, std::nullopt};
    if (stopping) {
        const auto& [monitor, sign, patience, min_delta, restores] = *stopping;
        settings.stopping = StoppingRule{monitor, sign, patience, min_delta, restores};
    }
    made->own().visit([&](auto& core) {
        using T = ScalarOf<decltype(core)>;
        made->course = std::make_unique<CourseOf<T>>(core, made->training->data,
                                                     made->validation ? &made->validation->data : nullptr, settings);
    });
    return made;
}

// Reads the rows of one course; keeps what is wrong with them.
class Check final : public Task {
public:
    explicit Check(Course& course) : course_(course) {}
    bool advance(Clock::time_point until) override {
        try {
            return course_.check(until);
        } catch (const std::invalid_argument& error) {
            error_ = error.what();
            return false;
        }
    }
    bool is_large() const override { return false; }
    const std::optional<std::string>& error() const { return error_; }

private:
    Course& course_;
    std::optional<std::string> error_;
};

// Reads the rows of all; what is wrong with one begins with its name, if there are such.
void check_courses(const std::vector<PyCourse*>& courses, std::size_t threads, const std::vector<std::string>& names) {
    if (!names.empty() && names.size() != courses.size()) throw py::value_error("expected a name for each course");
    std::deque<ExclusiveUse> uses;
    for (const PyCourse* course : courses) uses.emplace_back(course->own().user());
    const GilRelease released(1e9);
    for (const PyCourse* course : courses) course->course->set_releases(courses.size() > kFew);
    std::deque<Check> checks;
    std::vector<Task*> tasks;
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < courses.size(); ++i) {
        const bool same = i > 0 && courses[i]->course->has_rows_of(*courses[i - 1]->course);
        if (courses[i]->checked || same) continue;
        tasks.push_back(&checks.emplace_back(*courses[i]->course));
        numbers.push_back(i);
    }
    run_tasks(tasks, threads, threads);
    for (std::size_t i = 0; i < checks.size(); ++i) {
        if (!checks[i].error()) continue;
        throw std::invalid_argument((names.empty() ? "" : names[numbers[i]]) + *checks[i].error());
    }
    for (PyCourse* course : courses) course->checked = true;
}

// Until each has had so many epochs as `pauses` has.
void run_courses(const std::vector<PyCourse*>& courses, const std::vector<std::size_t>& pauses, std::size_t threads,
                 std::size_t at_once, const py::object& on_progress) {
    if (pauses.size() != courses.size()) throw py::value_error("expected a pause for each course");
    std::deque<ExclusiveUse> uses;
    for (const PyCourse* course : courses) uses.emplace_back(course->own().user());
    const GilRelease released(1e9);
    std::vector<Task*> tasks;
    for (std::size_t i = 0; i < courses.size(); ++i) {
        courses[i]->course->pause_at(pauses[i]);
        tasks.push_back(courses[i]->course.get());
    }
    const auto report = [&on_progress] {
        const py::gil_scoped_acquire acquire;
        on_progress();
    };
    try {
        run_tasks(tasks, threads, at_once, on_progress.is_none() ? std::function<void()>() : report);
    } catch (...) {
        for (PyCourse* course : courses) course->course->end();
        throw;
    }
}

// The columns of a history
py::dict record(const PyCourse& course) {
    const CourseRecord& found = course.course->record();
    py::dict columns;
    columns["loss"] = found.losses;
    columns["learning_rate"] = found.rates;
    columns["seconds"] = found.seconds;
    for (std::size_t i = 0; i < found.names.size(); ++i) columns[("val_" + found.names[i]).c_str()] = found.measured[i];
    return columns;
}

// (epoch, step, learning rate, loss) where it diverged
std::optional<std::tuple<std::uint32_t, std::uint64_t, double, double>> divergence(const PyCourse& course) {
    const std::optional<Diverged>& found = course.course->divergence();
    if (!found) return std::nullopt;
    return std::make_tuple(found->epoch, found->step, found->learning_rate, found->loss);
}

}  // namespace

void bind_course(py::module_& m) {
    py::class_<RateTable, Rates>(m, "Rates")
        .def(py::init([](std::uint64_t first, std::vector<double> rates) {
                 if (rates.empty()) throw py::value_error("expected a rate at least");
                 return std::make_shared<RateTable>(RateTable{first, std::move(rates)});
             }),
             py::arg("first"), py::arg("rates"));
    py::class_<PyCourse>(m, "Course")
        .def(py::init(&make_course), py::arg("trainer"), py::arg("rows"), py::arg("validation"), py::arg("epochs"),
             py::arg("batch_size"), py::arg("shuffle"), py::arg("rollback"), py::arg("metrics"), py::arg("units"),
             py::arg("stopping"))
        .def_property_readonly("n_epochs", [](const PyCourse& self) { return self.course->n_epochs(); })
        .def_property_readonly("begun", [](const PyCourse& self) { return self.course->begun(); })
        .def_property_readonly("over", [](const PyCourse& self) { return self.course->over(); })
        .def_property_readonly("divergence", divergence)
        .def(
            "set_rates", [](PyCourse& self, const Rates& rates) { self.course->set_rates(rates); }, py::arg("rates"))
        .def("record", record)
        .def("end", [](PyCourse& self) {
            const ExclusiveUse use(self.own().user());
            self.course->end();
        });
    m.def("check_courses", check_courses, py::arg("courses"), py::arg("threads"), py::arg("names"));
    m.def("run_courses", run_courses, py::arg("courses"), py::arg("pauses"), py::arg("threads"), py::arg("at_once"),
          py::arg("on_progress"));
}

}  // namespace steepest
