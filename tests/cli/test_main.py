import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import molzoo
from molzoo.cli import COMMANDS, main

MOLZOO = str(Path(sys.executable).with_name("molzoo"))
RUN = ["train", "data/sample", "model/painn", "--model.channels", "8", "--trainer.accelerator", "cpu"]
RUN += ["--data.train", "40", "--data.val", "10", "--data.test", "10"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("word", "code", "says"),
    [
        ("--help", 0, "usage: molzoo COMMAND"),
        ("--version", 0, molzoo.__version__),
        ("trian", 2, "molzoo: there is no command 'trian'; did you mean 'train'?"),
    ],
)
def test_answers_at_once(word, code, says):
    started = time.monotonic()
    done = subprocess.run([MOLZOO, word], capture_output=True, text=True, timeout=60, check=False)
    assert time.monotonic() - started < 3  # 0.1 s where nothing else runs
    assert done.returncode == code
    assert says in (done.stderr if code else done.stdout)


def test_nothing_heavy_is_loaded_for_help():
    heavy = "{'torch', 'numpy', 'lightning', 'ase', 'yaml'} & set(sys.modules)"
    code = f"import sys; from molzoo.cli import main; main(['--help']); main(['trian']); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_help_names_every_command(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command, capsys):
    try:
        code = main([command, "--help"])
    except SystemExit as end:  # argparse
        code = end.code
    assert code == 0
    assert f"molzoo {command}" in capsys.readouterr().out


def test_an_unlike_command_is_answered_with_all(refused):
    assert refused(["xyzzy"]).startswith(
        "there is no command 'xyzzy'; known are train, test, predict, check, tabulate, convert, list"
    )


def test_the_place_of_an_error_on_demand(monkeypatch):
    monkeypatch.setenv("MOLZOO_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match="no configuration 'nowhere'"):
        main(["train", "nowhere"])


def test_a_reader_that_leaves_early_is_no_error():
    words = ["bash", "-c", f"{MOLZOO} list | true"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "Broken pipe" not in done.stderr
    assert "Traceback" not in done.stderr


def test_training_from_the_command_line(capsys, monkeypatch):
    monkeypatch.setattr("molzoo.train.run.plot_parity", lambda *_: None)
    monkeypatch.setattr("molzoo.train.run.plot_learning_curve", lambda *_: None)
    assert main([*RUN, "--trainer.max_epochs", "1", "--folder", "run"]) == 0
    out, err = capsys.readouterr()
    assert out.index("sample/ethanol") < out.index("epoch 1") < out.index("Test errors") < out.index("run/model.pt")
    assert "meV/A" in out
    assert err == ""


def test_interrupt_leaves_a_sentence_and_what_was_finished(tmp_path):
    words = [MOLZOO, *RUN, "--folder", str(tmp_path / "run")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        end = time.monotonic() + 120
        while not (tmp_path / "run" / "last.ckpt").is_file() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "molzoo: stopped by you; what was finished is kept, and --resume goes on from there\n"
    assert (tmp_path / "run" / "model.pt").is_file()


def test_on_a_terminal_one_line_is_rewritten(tmp_path):
    pty = pytest.importorskip("pty")
    main_end, terminal = pty.openpty()
    words = [MOLZOO, *RUN, "--folder", str(tmp_path / "run"), "--trainer.max_epochs", "2"]
    with subprocess.Popen(words, stdout=terminal, stderr=subprocess.STDOUT, env=ENVIRONMENT | {"COLUMNS": "60"}) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                shown += os.read(main_end, 4096)
            except OSError:  # the other end is closed
                break
    os.close(main_end)
    assert process.returncode == 0
    lines = [line for line in shown.decode().replace("\r\n", "\n").split("\n") if "\033[K" in line]
    assert len(lines) == 1
    states = lines[0].split("\r\033[K")
    assert len(states) > 2
    assert states[-1].startswith("epoch 2, the last, 0:0")
    assert max(map(len, states)) < 60
