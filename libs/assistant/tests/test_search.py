"""Searching: the right passage first, at its exact place, from many threads, whatever is asked."""

import dataclasses
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from assistant.knowledge import building, corpus, encoder, fusion, index, lexical, search, vectors
from assistant.knowledge.settings import Indexing, Lexical

FACTS = {
    "asthma": ("Asthma", "Asthma makes the airways narrow. An inhaler opens the airways again."),
    "gout": ("Gout", "Gout is a sudden swelling of one joint. Uric acid crystals cause gout."),
    "migraine": ("Migraine", "Migraine is a throbbing headache on one side. Light hurts."),
    "cold": ("Common cold", "A cold brings a blocked nose. A cold lasts about a week."),
    "tick": ("Tick bite", "Pull a tick straight out with tweezers. Do not burn a tick."),
}


def document(document_id: str, title: str, body: str) -> corpus.Document:
    part = corpus.Part("", 0, len(body), searched=False)
    return corpus.Document(document_id, title, body, "NIH", f"https://x/{document_id}", (part,))


@pytest.fixture(scope="module", params=["exact", "graph"])
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> search.Library:
    into, used = tmp_path_factory.mktemp("index"), encoder.WordLlama()
    documents = [document(key, *fact) for key, fact in FACTS.items()]
    body = "First this happens. " * 80 + "Then the ölçü ends 🤒. " * 80
    documents.append(document("long", "Long story", body))
    how = Indexing(graph_above=1 if request.param == "graph" else 1000)
    manifest = building.build_documents(documents, into, used, how)
    return index.open_index(into / manifest.key, used)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("how long does a cold last", "cold"),
        ("remove a tick with tweezers", "tick"),
        ("head pain and light hurts my eyes", "migraine"),
        ("uric acid", "gout"),
        ("puffer for breathing", "asthma"),
    ],
)
def test_the_right_passage_comes_first(library: search.Library, query: str, found: str) -> None:
    hits = library.search(query, 3)
    assert hits[0].passage.document_id == found
    assert hits[0].passage.url == f"https://x/{found}"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 <= hit.score <= 1 and -1.01 <= hit.dense <= 1.01 for hit in hits)


def test_a_passage_stands_in_its_document(library: search.Library) -> None:
    hits = library.search("the ölçü ends", 50)
    assert len(hits) > 6
    for hit in hits:
        whole = library.document(hit.passage.document_id)
        assert whole is not None
        assert whole.body[hit.passage.start : hit.passage.end] == hit.passage.text


def test_neighbours_come_from_the_same_document(library: search.Library) -> None:
    inner = next(
        hit.passage for hit in library.search("long story first this happens", 20)
        if hit.passage.document_id == "long"
    )  # fmt: skip
    around = library.neighbours(inner, reach=100)
    assert {each.document_id for each in around} == {"long"}
    assert [each.id for each in around] == sorted(each.id for each in around)
    assert len(library.neighbours(inner)) in {2, 3}
    (only,) = library.neighbours(library.search("gout", 1)[0].passage)
    assert only.document_id == "gout"


def test_documents_narrow_the_search_before_it_is_made(library: search.Library) -> None:
    hits = library.search("uric acid crystals", 5, documents=["cold", "tick", "unknown"])
    assert {hit.passage.document_id for hit in hits} == {"cold", "tick"}
    assert library.search("uric acid", documents=[]) == []
    assert library.search("uric acid", documents=["unknown"]) == []
    assert library.document("unknown") is None


@pytest.mark.parametrize("query", ["", "   ", "\n", "\x00", "🤒", "?!", "the of and"])
def test_an_empty_question_harms_nothing(library: search.Library, query: str) -> None:
    for hit in library.search(query, 3):
        assert np.isfinite([hit.score, hit.dense, hit.lexical]).all()
    assert library.search("gout", 0) == []
    assert library.search("", 3) == []


def test_a_very_long_question_is_searched_by_its_beginning(library: search.Library) -> None:
    assert library.search("gout uric acid " * 100_000, 1)[0].passage.document_id == "gout"


def test_many_threads_get_what_one_gets(library: search.Library) -> None:
    queries = ["gout", "a cold", "tick", "migraine light", "inhaler"] * 10
    alone = [library.search(query) for query in queries]
    together: list[list[list[search.Hit]]] = [[] for _ in range(4)]

    def run(into: list[list[search.Hit]]) -> None:
        into.extend(library.search(query) for query in queries)

    threads = [threading.Thread(target=run, args=(each,)) for each in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [alone] * 4


def test_stats_say_how_much_there_is(library: search.Library) -> None:
    stats = library.stats()
    assert (stats.cards, stats.documents, stats.encoder) == (
        0,
        6,
        "wordllama-l2-supercat-256-lower",
    )
    assert stats.passages > 6


def test_a_title_counts_in_the_vector(tmp_path: Path) -> None:
    used = encoder.WordLlama()
    documents = [document("a", "Scurvy", "Gums bleed."), document("b", "", "Gums bleed.")]
    how = Indexing(title_weight=1.0)
    folder = tmp_path / building.build_documents(documents, tmp_path, used, how).key
    hits = {hit.passage.document_id: hit for hit in index.open_index(folder, used).search("Scurvy")}
    title, both, bare = used.encode(["Scurvy", "Scurvy\nGums bleed.", "Gums bleed."])
    expected = encoder.normalise((both + title)[None, :])[0] @ title
    assert hits["a"].dense == pytest.approx(float(expected), abs=2e-3)
    assert hits["b"].dense == pytest.approx(float(bare @ title), abs=2e-3)


def test_other_names_count_in_the_vector_too(tmp_path: Path) -> None:
    used = encoder.WordLlama()
    bare = document("p", "Paracetamol", "Take it with water.")
    named = dataclasses.replace(bare, id="q", names=("Tylenol", "Calpol"))
    folder = tmp_path / building.build_documents([bare, named], tmp_path, used, Indexing()).key
    hits = {
        hit.passage.document_id: hit for hit in index.open_index(folder, used).search("tylenol")
    }
    assert hits["q"].dense > hits["p"].dense + 0.1
    assert hits["q"].lexical > hits["p"].lexical == 0


class Broken:
    """An encoder whose weights have rotted."""

    name, dimension, max_tokens, fingerprint = "broken", 4, 512, "broken"

    def encode(self, texts: Sequence[str]) -> encoder.Vectors:
        return encoder.normalise(np.full((len(texts), 4), np.nan, dtype=np.float32))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def test_words_are_enough_when_vectors_say_nothing(tmp_path: Path) -> None:
    used = Broken()
    documents = [document(key, *fact) for key, fact in FACTS.items()]
    folder = tmp_path / building.build_documents(documents, tmp_path, used, Indexing()).key
    library = index.open_index(folder, used)
    (hit,) = library.search("uric acid")
    assert (hit.passage.document_id, hit.score, hit.dense) == ("gout", 1.0, 0.0)
    assert library.search("zebra") == []


def test_words_without_meaning_are_no_words(tmp_path: Path) -> None:
    assert lexical.tokens("What are the SYMPTOMS of a runny nose?") == ["symptom", "runni", "nose"]
    lexical.build([("", "the of"), ("", "")], tmp_path / "none", Lexical())
    assert lexical.WordIndex(tmp_path / "none", 2).scores("the nose").tolist() == [0, 0]


def test_a_title_weighs_more_than_a_mention(tmp_path: Path) -> None:
    pairs = [("Gout", "pain in a joint"), ("Joints", "pain from gout")]
    lexical.build(pairs, tmp_path / "words", Lexical())
    first, second = lexical.WordIndex(tmp_path / "words", 2).scores("gout")
    assert first > second > 0


def ranked(ids: list[int], scores: list[float]) -> fusion.Ranked:
    return np.array(ids, dtype=np.int64), np.array(scores, dtype=np.float32)


def test_fusion_stretches_each_list_and_weighs_it() -> None:
    ids, scores = fusion.fuse(ranked([7, 3], [0.9, 0.5]), ranked([3, 5], [8.0, 4.0]), 2, 0.75)
    assert ids.tolist() == [7, 3, 5]
    assert scores.tolist() == pytest.approx([0.75, 0.25, 0.0])


def test_fusion_of_short_equal_or_missing_lists() -> None:
    ids, scores = fusion.fuse(ranked([2, 1], [0.8, 0.4]), fusion.NONE, 100, 0.7)
    assert (ids.tolist(), scores.tolist()) == ([2, 1], pytest.approx([1.0, 0.5]))
    ids, scores = fusion.fuse(ranked([2, 1], [0.5, 0.5]), fusion.NONE, 2, 0.7)
    assert (ids.tolist(), scores.tolist()) == ([1, 2], [1.0, 1.0])
    assert fusion.fuse(fusion.NONE, fusion.NONE, 100, 0.7)[0].tolist() == []
    assert fusion.best(np.zeros(500, dtype=np.float32), 100)[0].tolist() == []


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("width", [30, 32, 256])
def test_a_graph_and_an_exact_index_find_and_filter_alike(
    tmp_path: Path, graph: bool, width: int
) -> None:
    rng = np.random.default_rng(5)
    rows = encoder.normalise(rng.standard_normal((2000, width)).astype(np.float32))
    vectors.build(iter(np.split(rows, 4)), width, tmp_path / "v", graph=graph)
    opened = vectors.VectorIndex(tmp_path / "v")
    query = encoder.normalise(rows[9:10] + rows[700:701])[0]
    for share in (0.01, 0.5, None):
        mask = None if share is None else rng.random(2000) < share
        allowed = np.arange(2000) if mask is None else np.flatnonzero(mask)
        best = allowed[np.argsort(-(rows[allowed] @ query))[:10]]
        ids, products = opened.search(query, 10, mask)
        assert np.isin(ids, allowed).all()
        assert len(np.intersect1d(best, ids)) >= 8
        assert products == pytest.approx(rows[ids] @ query, abs=0.01)
        assert opened.product(query, int(ids[0])) == pytest.approx(float(products[0]), abs=0.01)


def test_an_index_of_cards_and_answers_finds_both(tmp_path: Path) -> None:
    folder, answers = tmp_path / "library", tmp_path / "answers.jsonl"
    folder.mkdir()
    (folder / "gout.md").write_text(
        "---\ntitle: Gout\nkind: condition\nalso_called: [podagra]\nreviewed: 2026-11\n---\n"
        "## Causes\nGout comes from uric acid.\n\n## Sources\n- NHS: Gout. https://www.nhs.uk/g/\n",
        encoding="utf-8",
    )
    line = {"id": "b", "focus": "Scurvy", "answer": "Scurvy comes from a lack of vitamin C."}
    answers.write_text(json.dumps(line), encoding="utf-8")
    library = index.open_or_build(folder, tmp_path / "index", corpora=[answers])
    assert library.search("podagra")[0].passage.heading == "Causes"
    assert library.search("no vitamin c")[0].passage.document_id == "b"
    assert library.stats().documents == 2
    assert library.cards["gout"].sources[0].url == "https://www.nhs.uk/g/"
