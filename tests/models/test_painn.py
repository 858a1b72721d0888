"""What scalars cannot see of PaiNN: which way its vectors point."""

import torch

from molzoo.check.symmetry import random_motion
from molzoo.graph import AtomGraph
from molzoo.models import create_model

C = 16


def painn():
    torch.manual_seed(1)
    return create_model("PaiNN", channels=C, n_layers=1, irreps_out="0e + 1o").double()


def test_the_first_vectors_of_a_dimer_point_from_receiver_to_sender():
    model = painn()
    dimer = AtomGraph(z=[6, 8], pos=[[0.1, 0.2, 0.3], [1.3, -0.2, 0.5]])
    after_message = []
    model.interactions[0].register_forward_hook(lambda *call: after_message.append(call[-1][1]))
    model(dimer)

    r = dimer.pos[1] - dimer.pos[0]  # r_ij = pos[j] − pos[i] of the edge that atom 0 receives
    d = r.norm()[None]
    phi_vs = model.interactions[0].phi(model.embedding(dimer.z))[:, C : 2 * C]
    W_vs = (model.filters.linear(model.radial(d)) * model.envelope(d)[:, None])[0, C : 2 * C]
    by_hand = torch.stack([torch.outer(r / d, phi_vs[1] * W_vs), torch.outer(-r / d, phi_vs[0] * W_vs)])  # (N, 3, C)
    assert by_hand.abs().max() > 1e-3
    torch.testing.assert_close(after_message[0], by_hand)


def test_vector_features_are_flat_in_mul_ir_order(structure):
    model, graph = painn(), structure("ethanol")
    motion = random_motion(len(graph.z), inverted=True)
    first, second = (model.features(g)[:, C:].view(-1, C, 3) for g in (graph, motion.structure(graph)))
    torch.testing.assert_close(second, (first @ motion.rotation.T)[motion.order])


def test_vector_outputs_point_along_a_dimer():
    out = painn()(AtomGraph(z=[6, 8], pos=[[0.0, 0.0, 0.0], [0.0, 0.0, 1.2]]))[:, 1:]
    assert (out[:, :2] == 0).all()
    assert (out[:, 2].abs() > 1e-6).all()
