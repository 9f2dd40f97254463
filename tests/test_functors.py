"""Mapping over several trees, with paths, as plain containers, and with walks of one's own."""

import functools
from collections import namedtuple

import numpy as np
import pytest

import oxiflux as flux


def model():
    return flux.Chain(enc=flux.Dense(2, 3, flux.tanh), norm=flux.BatchNorm(3), dec=flux.Dense(3, 1))


def gradient(m):
    return flux.gradient(lambda m: m(np.array([[1.0, 2.0], [3.0, 5.0]])).sum(), m)[0]


def test_a_step_of_descent_is_a_map_over_model_and_gradients():
    m = model()
    grads = gradient(m)
    stepped = flux.fmap(lambda x, g: x if g is None else x - 0.1 * g, m, grads)
    flux.update(flux.setup(flux.Descent(0.1), m), m, grads)
    for a, b in zip(flux.trainables(stepped), flux.trainables(m), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)


def test_where_a_gradient_has_nothing_the_function_gets_none():
    m = model()
    given = {}
    flux.fmap_with_path(lambda path, x, g: given.update({path: g}), m, gradient(m))
    assert {path for path, g in given.items() if g is None} == {
        ("layers", "norm", "mu"), ("layers", "norm", "var"),
    }  # fmt: skip
    whole = []
    flux.fmap(lambda x, g: whole.append(g), m, None)
    assert whole == [None] * 8


def test_three_trees_go_along():
    m, grads = model(), None
    grads = gradient(m)
    state = flux.setup(flux.Momentum(), m)
    found = []
    flux.fmap(
        lambda x, g, leaf: found.append((g.shape, type(leaf))) if g is not None else None, m, grads, state
    )
    assert found == [(x.shape, flux.Leaf) for x in flux.trainables(m)]


def test_another_model_is_a_tree_too():
    a, b = model(), model()
    mean = flux.fmap(lambda x, y: (x + y) / 2, a, b)
    np.testing.assert_array_equal(
        mean["enc"].weight.numpy(), (a["enc"].weight.numpy() + b["enc"].weight.numpy()) / 2
    )
    assert mean["enc"].activation is flux.tanh


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([flux.Dense(2, 3)], r"^fmap: tree 2 has no \[1\].weight|^fmap: tree 2 has no \[1\]"),
        (
            [flux.Dense(2, 3), flux.Dense(3, 1), flux.Dense(1, 1)],
            r"tree 2 has \[2\], which the first has not",
        ),
        ([flux.Dense(2, 3), 5], r"tree 2 has a int in the place of \[1\], a Dense"),
        ([flux.Dense(2, 3), flux.Scale(3)], r"tree 2 has \[1\].scale, which the first has not"),
    ],
    ids=["shorter", "longer", "number", "another layer"],
)
def test_trees_of_another_structure_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        flux.fmap(lambda x, y: x, [flux.Dense(2, 3), flux.Dense(3, 1)], other)


def test_the_second_of_several_others_is_named():
    a = [flux.zeros(2), flux.zeros(2)]
    with pytest.raises(ValueError, match=r"fmap_with_path: tree 3 has no \[1\]"):
        flux.fmap_with_path(lambda path, x, y, z: x, a, a, a[:1])


def test_what_is_tied_in_the_first_tree_must_be_in_the_others():
    w = flux.ones(2)
    tied = {"a": w, "b": w}
    grads = flux.gradient(lambda m: (m["a"] * m["b"]).sum(), tied)[0]
    new = flux.fmap(lambda x, g: x - g, tied, grads)
    assert new["a"] is new["b"]
    with pytest.raises(ValueError, match="a and b are one object in the first tree and differ"):
        flux.fmap(lambda x, y: x, tied, {"a": flux.ones(2), "b": flux.zeros(2)})


def test_pruned_is_all_but_the_first_place_of_an_object():
    w = flux.ones(2)
    twice = flux.Dense(flux.ones((2, 2)))
    new = flux.fmap(lambda x: x * 2, [w, flux.ones(2), w, twice, (twice,)], prune=None)
    assert new[2] is None and new[1].tolist() == [2.0, 2.0] and new[4] == (None,)
    tied = {"i": w, "j": w}
    assert flux.fmapstructure(lambda x: x.size, tied, prune="seen") == {"i": 2, "j": "seen"}
    assert flux.fmap_with_path(lambda path, x: path, tied, prune=0) == {"i": ("i",), "j": 0}
    assert flux.fmapstructure_with_path(lambda path, x: path, tied, prune=0) == {"i": ("i",), "j": 0}


def test_excluded_nodes_are_mapped_in_place_of_tensors():
    tree = [flux.Dense(2, 3), (flux.Dense(3, 1), 5)]
    is_dense = lambda x: isinstance(x, flux.Dense)
    assert flux.fmap_with_path(lambda path, x: path, tree, exclude=is_dense) == [(0,), ((1, 0), 5)]
    assert flux.fmapstructure(lambda x: x.weight.size, tree, exclude=is_dense) == [6, (3, None)]
    assert flux.fmapstructure_with_path(lambda path, x: path, tree, exclude=is_dense) == [
        (0,),
        ((1, 0), None),
    ]


def test_the_path_is_that_of_trainables():
    m = model()
    paths = []
    flux.fmap_with_path(lambda path, x: paths.append(path), m, exclude=lambda x: isinstance(x, flux.Tensor))
    trained = [path for path, _ in flux.trainables(m, path=True)]
    assert [path for path in paths if path in trained] == trained


def test_a_walk_of_ones_own_stands_before_the_usual_one():
    class Bar:
        def __init__(self, x):
            self.x = x

    tree = {"a": Bar(flux.ones(2)), "b": (4, Bar(5), flux.ones(2))}

    def walk(recurse, node):
        return "hello" if isinstance(node, Bar) else NotImplemented

    new = flux.fmap(lambda x: x * 10, tree, walk=walk)
    assert new["a"] == "hello" and new["b"][:2] == (4, "hello") and new["b"][2].tolist() == [10.0, 10.0]


def test_a_walk_goes_on_by_itself():
    def only_weights(recurse, path, node, other):
        if isinstance(node, flux.Dense):
            new = recurse((*path, "weight"), node.weight, other.weight)
            return flux.Dense(new, node.bias)
        return NotImplemented

    m = [flux.Dense(flux.ones((1, 1)), [3.0])]
    new = flux.fmap_with_path(lambda path, x, y: (x + y) * len(path), m, m, walk=only_weights)
    assert new[0].weight.tolist() == [[4.0]] and new[0].bias.tolist() == [3.0]


def test_the_structure_is_that_of_a_gradient():
    Pair = namedtuple("Pair", "first second")
    tree = {"layers": [flux.Dense(2, 3), flux.relu, 5], "pair": Pair(flux.zeros(2), "text")}
    sizes = flux.fmapstructure(lambda x: x.size, tree)
    assert sizes["layers"][0].weight == 6 and sizes["layers"][0].bias == 3
    assert sizes["layers"][1:] == [None, None]
    assert sizes["pair"] == Pair(2, None)
    assert not hasattr(sizes["layers"][0], "activation")
    grads = flux.gradient(lambda m: m([[1.0, 2.0]]).sum(), flux.Dense(2, 3))[0]
    assert vars(flux.fmapstructure(lambda x: x, flux.Dense(2, 3))).keys() == vars(grads).keys()


def test_the_structure_of_what_refers_back_ends():
    class Node(flux.Layer):
        pass

    node = Node()
    node.weight = flux.ones(2)
    node.parent = node
    assert flux.fmapstructure(lambda x: x.size, node).weight == 2
    new = flux.fmap(lambda x: x * 2, node)
    assert new.parent is new and new is not node


def test_functions_and_partials_are_mapped_with_others():
    w, b = flux.ones(2), flux.ones(3)
    f = functools.partial(lambda x, w: x * w, w=w)
    g = functools.partial(lambda x, w: x * w, w=flux.zeros(2))
    new = flux.fmap(lambda x, y: x + y + 1, [f, b], [g, b])
    assert new[0](2.0).tolist() == [4.0, 4.0]


def test_what_should_be_a_function_is_asked_for():
    for call, said in [
        (lambda: flux.fmap(3, [flux.ones(1)]), "fmap: f must be a function, got 3"),
        (lambda: flux.fmap(lambda x: x, [flux.ones(1)], walk=3), "fmap: walk must be a function, got 3"),
        (
            lambda: flux.fmapstructure(lambda x: x, 1, exclude="a"),
            "fmapstructure: exclude must be a function",
        ),
        (
            lambda: flux.loadmodel([flux.ones(1)], [flux.ones(1)], filter=3),
            "loadmodel: filter must be a function",
        ),
    ]:
        with pytest.raises(TypeError, match=said):
            call()


def test_children_are_what_paths_are_made_of():
    m = model()
    assert list(flux.children(m)) == ["layers"] and list(flux.children(m.layers)) == ["enc", "norm", "dec"]
    for path, tensor in flux.trainables(m, path=True):
        node = m
        for key in path:
            node = flux.children(node)[key]
        assert node is tensor
    assert flux.isleaf(3) and flux.isleaf("text") and flux.isleaf([]) and not flux.isleaf([1])


def test_a_filter_says_what_loadmodel_loads():
    dst, src = model(), model()
    before = {path: x.numpy().copy() for path, x in flux.trainables(dst, path=True)}
    flux.loadmodel(
        dst, src, filter=lambda part: not isinstance(part, flux.BatchNorm) and part is not dst["dec"]
    )
    np.testing.assert_array_equal(dst["enc"].weight.numpy(), src["enc"].weight.numpy())
    np.testing.assert_array_equal(dst["dec"].weight.numpy(), before["layers", "dec", "weight"])


def test_what_is_not_loaded_may_differ_or_be_missing():
    dst = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 4))
    src = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 7))
    with pytest.raises(flux.ShapeError, match="bias|weight"):
        flux.loadmodel(dst, src)
    for other in (src, src[:1], flux.state(src)):
        first = dst[0].weight.numpy().copy()
        assert flux.loadmodel(dst, other, filter=lambda part: part is not dst[1]) is dst
        np.testing.assert_array_equal(dst[0].weight.numpy(), src[0].weight.numpy())
        del first
    with pytest.raises(flux.ShapeError, match=r"the source has no layers\[1\]"):
        flux.loadmodel(dst, src[:1], filter=lambda part: True)
    longer = flux.Chain(*src, flux.Dense(7, 1))
    with pytest.raises(flux.ShapeError, match=r"the model has no layers\[2\]"):
        flux.loadmodel(dst, longer, filter=lambda part: part is not dst[1])


@pytest.mark.parametrize("value", [1, True, 0.5, "a", None, (), flux.relu, len, np.float32(2), int], ids=repr)
def test_what_has_no_identity_is_mapped_in_each_of_its_places(value):
    exclude = lambda x: x is value
    tree = [value, {"again": value}]
    assert flux.fmap_with_path(lambda path, x: path, tree, exclude=exclude) == [(0,), {"again": (1, "again")}]
    assert flux.fmap(lambda x, y: y, tree, [2, {"again": 3}], exclude=exclude) == [2, {"again": 3}]
    assert flux.fmap(lambda x: "mapped", tree, exclude=exclude, prune="pruned") == [
        "mapped",
        {"again": "mapped"},
    ]


def test_a_function_that_holds_something_is_mapped_once():
    held = flux.tensor([1.0])
    f = lambda: held
    paths = flux.fmap_with_path(lambda path, x: path, [f, f], exclude=lambda x: x is f)
    assert paths == [(0,), (0,)]


def test_the_state_of_an_optimiser_is_mapped_like_a_model():
    m = flux.Chain(flux.Dense(2, 3))
    m.tied = m[0].weight
    state = flux.setup(flux.Momentum(), m)
    flux.freeze(state.layers[0].bias)
    copied = flux.fmap(flux.Tensor.copy, state)
    mine, its = state.layers[0].weight, copied.layers[0].weight
    assert its is not mine and its is copied.tied and its.rule is mine.rule and copied.layers[0].bias.frozen
    flux.update(state, m, flux.gradient(lambda m: m(np.ones((4, 2))).sum(), m)[0])
    assert mine.state.numpy().any() and not its.state.numpy().any()
    assert list(flux.children(its)) == ["rule", "state", "frozen"]
    shapes = flux.fmap_with_path(lambda path, x: (path, x.shape), {"w": its})["w"].state
    assert shapes == (("w", "state"), (2, 3))
