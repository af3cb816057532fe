"""Stand-ins behave like what they stand in for, only later. Each case needs an interpreter of its own: imports cannot be undone."""

import subprocess
import sys
import textwrap


def run(script: str) -> None:
    """Runs in a fresh interpreter; fails with what that wrote to standard error."""
    code = "import sys\nfrom services.transcriber.engine.imports import lean, whole\n" + textwrap.dedent(script)
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_optional_libraries_are_absent_only_inside() -> None:
    """Whoever probes inside finds nothing; afterwards everything is as before."""
    run("""
        from importlib.util import find_spec
        with lean():
            assert find_spec("scipy") is None
            try:
                import scipy
            except ImportError:
                pass
            else:
                raise AssertionError("imported")
        assert find_spec("scipy") is not None
        assert "scipy" not in sys.modules
    """)


def test_a_stand_ins_name_imports_the_real_thing_when_called() -> None:
    """A class taken from a stand-in makes real instances, and importing it cost nothing."""
    run("""
        with lean():
            from pyannote.core import Segment
            import pandas
        assert not {"pyannote.core", "pandas"} & set(sys.modules)
        assert Segment(1.0, 2.5).duration == 1.5
        assert "pyannote.core" in sys.modules
        assert pandas.Series([1, 2]).sum() == 3
    """)


def test_modules_that_are_loaded_already_are_left_alone() -> None:
    """A library that somebody uses is never replaced."""
    run("""
        import pandas
        with lean():
            assert sys.modules["pandas"] is pandas
        assert sys.modules["pandas"] is pandas
    """)


def test_what_another_thread_imports_for_use_is_whole() -> None:
    """It waits until the stand-ins are gone: a class that is none would break whoever asks for its instances."""
    run("""
        import threading
        found = []
        def use():
            with whole():
                from pyannote.core import Segment
            found.append(Segment)
        with lean():
            thread = threading.Thread(target=use)
            thread.start()
            thread.join(0.2)
            assert thread.is_alive()
        thread.join()
        assert isinstance(found[0], type)
    """)
