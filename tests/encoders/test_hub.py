"""Downloads from a hub on this computer: what it refuses, what it lacks, what it sends."""

import io
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import MappingProxyType

import pytest

from histokin.encoders import foundation, weight_files
from histokin.encoders.foundation_models import FOUNDATION, FoundationModel
from histokin.encoders.weight_files import find, needs_of, obtain, unreachable
from histokin.errors import EncoderError
from histokin.nets.torchvision_compat import torchvision_models

torch = pytest.importorskip("torch")
constants = pytest.importorskip(
    "huggingface_hub.constants", reason="huggingface_hub is not installed (extra foundation)"
)

TINY = FoundationModel(
    name="tiny",
    hub="nobody/tiny",
    dim=32,
    parameters=0,
    licence="Apache-2.0",
    gated=True,
    network="vit_tiny_patch16_224",
    input_px=64,
    options=(("embed_dim", 32), ("depth", 1), ("num_heads", 2)),
)

Serve = Callable[..., None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Answers every request with a status and a code of the hub's, or with a file's content."""
    answer: dict[str, object] = {}

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            content = answer["files"].get(self.path.rpartition("/")[2])  # type: ignore[attr-defined]
            status = answer["status"] if content is None else 200
            self.send_response(int(str(status)))
            if content is None:
                self.send_header("X-Error-Code", str(answer["code"]))
            else:
                self.send_header("ETag", '"0123456789"')
                self.send_header("X-Repo-Commit", "a" * 40)
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET" and content is not None:
                self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_HEAD()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    table = MappingProxyType({**FOUNDATION, "tiny": TINY})
    monkeypatch.setattr(foundation, "FOUNDATION", table)
    monkeypatch.setattr(weight_files, "FOUNDATION", table)
    monkeypatch.setenv("HISTOKIN_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    here = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", here)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", here + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def start(status: int = 404, code: str = "EntryNotFound", **files: bytes) -> None:
        answer.update(status=status, code=code, files={name.replace("__", "."): data for name, data in files.items()})

    yield start
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_that_refuses_says_how_to_be_let_in(serve: Serve, tmp_path: Path) -> None:
    serve(401, "GatedRepo")
    needs = needs_of("tiny")
    assert needs is not None
    assert "refuses it" in unreachable(needs)
    with pytest.raises(EncoderError, match=r"the hub refuses it to this computer's account \(status 401\)") as caught:
        obtain(needs)
    for word in ("Accept its licence (Apache-2.0) at https://huggingface.co/nobody/tiny", str(tmp_path), "hf auth"):
        assert word in caught.value.remedy


def test_a_repository_without_the_file(serve: Serve) -> None:
    serve()
    needs = needs_of("tiny")
    assert needs is not None
    with pytest.raises(EncoderError, match=r"has none of pytorch_model.bin, model.safetensors"):
        obtain(needs)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
def test_the_file_is_downloaded_once(serve: Serve, file: str) -> None:
    torchvision_models()
    pytest.importorskip("timm")
    torch.manual_seed(0)
    state = foundation.build(TINY).state_dict()
    stream = io.BytesIO()
    torch.save(state, stream)
    if file.endswith("safetensors"):
        from safetensors.torch import save

        stream = io.BytesIO(save(state))
    serve(**{file.replace(".", "__"): stream.getvalue()})
    needs = needs_of("tiny")
    assert needs is not None
    assert find(needs) is None
    made = foundation.foundation("tiny")
    found = find(needs)
    assert found is not None
    assert found.name == file
    serve(500, "")
    assert foundation.foundation("tiny").spec == made.spec
