#!/bin/sh
# Makes an environment of its own for the packages that molzoo is timed against, in .peers/: scripts/bench/peers.sh o3 …
#   o3           molzoo, e3nn, sphericart, cuEquivariance
#   schnetpack   SchNetPack            nequip   nequip            pyg   PyTorch Geometric's own models            mace   MACE
set -eu
cd "$(dirname "$0")/../.."
for name in "$@"; do
    case $name in
        o3) packages="-e . e3nn==0.6.0 sphericart-torch==2.0.4 cuequivariance==0.13.0 cuequivariance-torch==0.13.0" ;;
        # its pin of sympy contradicts torch 2.13, so it comes without its dependencies, which are these
        schnetpack) packages="ase h5py pyyaml hydra-core pytorch-lightning torchmetrics fasteners dirsync torch-ema matscipy tqdm" ;;
        nequip) packages="nequip==0.19.1" ;;
        pyg) packages="torch-geometric==2.8.1 ase" ;;
        mace) packages="mace-torch==0.3.16" ;;
        *) echo "there is no peer $name; choose from o3 schnetpack nequip pyg mace" >&2; exit 1 ;;
    esac
    python3 -m venv ".peers/$name"
    ".peers/$name/bin/pip" install -q torch==2.13.0
    # molzoo's tested versions where it is installed too; the peers' pins conflict with them
    constraints=""; [ "$name" = o3 ] && constraints="-c constraints.txt"
    # shellcheck disable=SC2086
    ".peers/$name/bin/pip" install -q $packages $constraints
    [ "$name" != schnetpack ] || ".peers/$name/bin/pip" install -q --no-deps schnetpack==2.1.1
    echo ".peers/$name is ready"
done
