"""What decoding says about a document, in the form in which tables of cases compare it."""

from __future__ import annotations

from tidegate.model.decode import Decoded, Rejected, Unrecognised, decode


def problem_paths(document: object) -> list[str]:
    """The paths of all problems; empty: the document is valid. Fails for kinds that are not read."""
    match decode(document):
        case Decoded():
            return []
        case Rejected(problems=problems):
            return [problem.path for problem in problems]
        case Unrecognised() as other:
            raise AssertionError(f"not a kind that is read: {other}")


def problem_texts(document: object) -> list[str]:
    """The problems as text; empty: the document is valid."""
    result = decode(document)
    return [str(problem) for problem in result.problems] if isinstance(result, Rejected) else []
