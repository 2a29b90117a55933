"""The tests of a Python suite, in the order they are written in, and their TAP."""

TESTS = []


def test(function):
    """Decorates a test: what it raises is its failure."""
    TESTS.append(function)
    return function


def run(*arguments):
    """Runs all with these arguments. Returns the exit status."""
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    for number, function in enumerate(TESTS, 1):
        try:
            function(*arguments)
            print(f"ok {number} - {function.__name__}", flush=True)
        except Exception as error:  # a test that breaks is a test that fails
            failed += 1
            print(f"not ok {number} - {function.__name__}\n# {type(error).__name__}: {error}", flush=True)
    return 1 if failed else 0
