"""The whole report of one fit: verdict, facts, slider, and a section for every thing a reader may ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from ...prediction.sources import chosen_flops
from ...results import MinimumStatus
from ..page.content import Page, Paragraph, Part, Section
from ..pictures.picture import Picture
from ..style import count_text, flops_text, unit_text
from ..tables import convention_words, holdout_remarks
from . import sections as say
from .answers import slider_of
from .exponents import exponents_table, holdout_table, minima_table, parameters_table
from .literature import literature_table
from .provenance import provenance_parts, spent_words
from .runs import excluded_table, runs_table
from .subject import Subject
from .verdict import verdict_of
from .warnings import notices

# Anchor, title, the pictures by name, and the sentence before them.
_OF_PICTURES: tuple[tuple[str, str, tuple[str, ...], say.Sentence], ...] = (
    ("isoflop", "isoFLOP curves", ("isoflop_curves",), say.isoflop_sentence),
    ("allocation", "How a budget is split", ("allocation",), say.allocation_sentence),
    ("compute", "What compute buys", ("compute",), say.compute_sentence),
    ("curves", "Training curves", ("training_curves", "envelope"), say.curves_sentence),
    ("surface", "The fitted law", ("surface",), say.surface_sentence),
    ("residuals", "Residuals", ("residuals",), say.residuals_sentence),
    ("profile", "What the runs say of alpha and beta", ("exponent_profile",), say.profile_sentence),
    ("literature", "Beside the literature", ("forest",), say.literature_sentence),
    ("holdout", "Budgets held out", ("holdout",), say.holdout_sentence),
)

_MOST_NAMED = 3  # sources in the title


def page_of(subject: Subject, pictures: Sequence[Picture]) -> Page:
    """The content of the report; `pictures` are those that the analysis can show, in any order."""
    named = {picture.name: picture for picture in pictures}
    tables = {"literature": _literature(subject), "holdout": _holdout(subject)}
    found = [_answer(subject)]
    for anchor, title, names, sentence in _OF_PICTURES:
        shown: list[Part] = [named.pop(name) for name in names if name in named]
        found.append(_section(anchor, title, sentence(subject), (*shown, *tables.get(anchor, ()))))
    if named:
        found.append(Section("more", "More pictures", tuple(named.values())))
    found += [_runs(subject), _excluded(subject), _warnings(subject)]
    found.append(
        Section(
            "provenance",
            "Where this comes from",
            (Paragraph("What is needed to check these numbers, or to make them again."), *provenance_parts(subject)),
        )
    )
    return Page(
        title=subject.title or f"Scaling laws of {_name(subject)}",
        subtitle=_subtitle(subject),
        verdict=verdict_of(subject),
        facts=facts_of(subject),
        sections=tuple(section for section in found if section is not None),
        slider=slider_of(subject),
    )


def facts_of(subject: Subject) -> Mapping[str, str]:
    """The few numbers beside the verdict, by name."""
    analysis = subject.analysis
    frame, (low, high) = analysis.table.fitted, subject.flops
    sizes = frame["n_params"].to_numpy(dtype=float)
    facts = {
        "runs": f"{len(frame)} fitted, {len(analysis.table.excluded)} excluded",
        "compute of a run": f"{flops_text(low)} to {flops_text(high)} FLOPs",
        "sizes": f"{' to '.join(count_text(each) for each in (sizes.min(), sizes.max()))} parameters",
    }
    if analysis.isoflop is not None:
        minima = analysis.isoflop.minima
        inside = sum(minimum.status is MinimumStatus.INTERIOR for minimum in minima)
        facts["budgets"] = f"{len(minima)}, {inside} with a minimum inside"
    if subject.sweep is not None:
        facts["compute in all"] = f"{flops_text(subject.sweep.flops())} FLOPs"
        if spent := spent_words(subject):
            facts["spent"] = spent
    facts["warnings"] = str(len(subject.warnings))
    return facts


def _name(subject: Subject) -> str:
    """The sweep's, or the sources' without folders and endings."""
    if subject.sweep is not None:
        return subject.sweep.name
    sources = subject.sources or (subject.source,)
    names = [PurePath(source).stem or source for source in sources[:_MOST_NAMED]]
    more = len(sources) - len(names)
    return f"{', '.join(names)}{f' and {more} more' if more else ''}"


def _subtitle(subject: Subject) -> str:
    n_words, c_words = convention_words(subject.analysis.options.n_params, chosen_flops(subject.report))
    unit = unit_text(subject.analysis.table.loss_unit)
    source = f"{subject.source}, only {subject.where}" if subject.where else subject.source
    return ", ".join(part for part in (source, f"N {n_words}", f"C {c_words}", f"loss in {unit}", subject.date) if part)


def _section(anchor: str, title: str, sentence: str, parts: Sequence[Part]) -> Section | None:
    """None where there is nothing to show under the sentence."""
    if not parts:
        return None
    return Section(anchor, title, (*((Paragraph(sentence),) if sentence else ()), *parts))


def _answer(subject: Subject) -> Section | None:
    tables = (exponents_table(subject), minima_table(subject), parameters_table(subject))
    levels = f"Brackets are {100 * subject.analysis.options.level:g} % intervals"
    sentence = (
        f"{levels}; compare exponents only under one count of N and of C, since what is counted moves them."
        if subject.analysis.by_convention
        else f"{levels}; an exponent without them has none that is honest."
    )
    return _section("answer", "The answer in numbers", sentence, [table for table in tables if table is not None])


def _literature(subject: Subject) -> tuple[Part, ...]:
    return () if subject.comparison is None else (literature_table(subject.comparison),)


def _holdout(subject: Subject) -> tuple[Part, ...]:
    table = holdout_table(subject)
    if table is None:
        return ()
    return (table, *(Paragraph(f"{remark[0].upper()}{remark[1:]}.") for remark in holdout_remarks(subject.report)))


def _runs(subject: Subject) -> Section | None:
    return _section("runs", "The runs", say.runs_sentence(subject), (runs_table(subject),))


def _excluded(subject: Subject) -> Section | None:
    table = excluded_table(subject)
    count = len(subject.analysis.table.excluded)
    sentence = (
        f"{count} of {len(subject.analysis.table)} runs were not fitted; they stay in the table with their reasons."
    )
    return None if table is None else _section("excluded", "Runs that were left out", sentence, (table,))


def _warnings(subject: Subject) -> Section | None:
    count = len(subject.warnings)
    sentence = (
        f"{count} {'thing makes' if count == 1 else 'things make'} these numbers doubtful, the most serious first, "
        "each with its remedy; notes say what was assumed."
        if count
        else "Nothing was found that makes these numbers doubtful; notes say what was assumed."
    )
    return Section("warnings", "Warnings and notes", (Paragraph(sentence), *notices(subject)))
