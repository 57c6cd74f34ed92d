"""The public page: requests beside nginx and beside a bare Django view, and what a rebuild costs (performance.md A).

All servers answer the same bytes on this machine, in interleaved rounds of one run; figures are
medians, and only their ratios mean something.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from django.conf import settings

from config import programs
from config.supervisor import free_port
from notifications.models import Brand, Topic
from status import ledger, publishing
from status.enums import Level, NoticeKind, Phase
from status.models import Component, Group, Impact, Notice
from status.page import press
from status.page.postings import archive
from tests.bench.figures import Figure, MissingError, cpu_ms, database, tree_cpu_seconds

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "2"))
CONNECTIONS = 32
#: A usual organisation is served (some 30 KB); a large one is rebuilt.
SERVED, COMPONENTS = 25, 50
AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
MODES = ("gzip", "identity", "304")


def figures() -> list[Figure]:
    """Everything about the page."""
    for program, package in (("wrk", "wrk"), ("nginx", "nginx-light")):
        if shutil.which(program) is None:
            raise MissingError(f"{program} is not installed (Debian: apt-get install {package}).")
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder, database():
        settings.PAGE_DIR = Path(folder) / "page"
        organisation(0, SERVED)
        if not press.press():
            raise RuntimeError("The page could not be pressed.")
        found = serving(Path(folder))
        organisation(SERVED, COMPONENTS)
        return found + rebuilding()


# --- what is served --------------------------------------------------------------------


def organisation(start: int, end: int) -> None:
    """Components with two incidents each in 90 days, spread evenly; the last one is open."""
    brand, _ = Brand.objects.get_or_create(
        slug="bench",
        defaults={"name": "Bench", "sender_email": "b@b.example", "support_email": "s@b.example", "is_default": True},
    )
    groups = [Group.objects.get_or_create(name=f"Group {n}", defaults={"position": n})[0] for n in range(7)]
    created = AT - timedelta(days=400)
    for n in range(start, end):
        topic = Topic.objects.create(key=f"component:{n}", name=f"Component {n}")
        part = Component.objects.create(
            name=topic.name,
            topic=topic,
            group=groups[n % 7],
            position=n,
            created_at=created,
            updated_at=created,
            uptime_target="99.9",
        )
        for number in (2 * n, 2 * n + 1):
            began = AT - timedelta(hours=21.6 * number + 3)
            told = publish(brand, number, {part: list(Level)[2 + number % 3]}, began)
            ledger.close_impacts(f"incident:B-{number}", at=began + timedelta(minutes=45))
            draft = publishing.Draft(Phase.RESOLVED, "It works again. We are sorry for the interruption.")
            publishing.post(told, draft, at=began + timedelta(minutes=45), channels=())
    publish(brand, 1_000 + end, {part: Level.DEGRADED}, AT - timedelta(minutes=30))


def publish(brand: Brand, number: int, levels: dict[Component, Level], began: datetime) -> Notice:
    return publishing.publish(
        publishing.Draft(Phase.INVESTIGATING, "We see elevated error rates and are looking into it."),
        kind=NoticeKind.INCIDENT,
        reference=f"B-{number}",
        source=f"incident:B-{number}",
        title="Elevated error rates",
        rank=2,
        brand=brand,
        levels=levels,
        started_at=began,
        at=began,
        channels=(),
    )


def rebuilding() -> list[Figure]:
    """CPU of one rebuild, and whether the length of the history matters."""
    page = cpu_ms(lambda: press.render_page(AT))
    first = cpu_ms(lambda: archive("", 25, AT))
    lengthen(100_000)
    long = cpu_ms(lambda: press.render_page(AT))
    oldest = f"{int((AT - timedelta(days=370)).timestamp() * 1_000_000)}-1"
    return [
        Figure("rebuild_50_components", page, "ms-cpu"),
        Figure("rebuild_100000_past", long, "ms-cpu", long / page, "rebuild_50_components"),
        Figure("archive_first", first, "ms-cpu"),
        figure_of_archive("archive_first_100000_past", "", first),
        figure_of_archive("archive_last_100000_past", oldest, first),
        Figure("page_bytes_50_components", len(press.render_page(AT)), "bytes"),
    ]


def figure_of_archive(name: str, key: str, reference: float) -> Figure:
    spent = cpu_ms(lambda: archive(key, 25, AT))
    return Figure(name, spent, "ms-cpu", spent / reference, "archive_first")


def lengthen(past: int) -> None:
    """So many incidents more, long over, each with an impact."""
    brand, parts = Brand.objects.get(), list(Component.objects.all())
    moments = [AT - timedelta(days=100) - timedelta(minutes=4 * n) for n in range(past)]
    Notice.objects.bulk_create(
        (
            Notice(
                reference=f"P-{n}",
                brand=brand,
                title="Long over",
                phase=Phase.RESOLVED,
                started_at=began,
                published_at=began,
                ended_at=began + timedelta(minutes=3),
                resolved_at=began + timedelta(minutes=3),
                updated_at=began,
            )
            for n, began in enumerate(moments)
        ),
        batch_size=1_000,
    )
    Impact.objects.bulk_create(
        (
            Impact(
                component=parts[n % COMPONENTS],
                level=Level.PARTIAL,
                source=f"incident:P-{n}",
                began_at=began,
                ended_at=began + timedelta(minutes=3),
                recorded_at=began,
            )
            for n, began in enumerate(moments)
        ),
        batch_size=1_000,
    )


# --- who serves it ----------------------------------------------------------------------


@dataclass
class Server:
    """A running server and what was measured of it, by mode: requests/s and CPU µs per request."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    rates: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)

    def rate(self, mode: str) -> float:
        return median(self.rates[mode])

    def cost(self, mode: str) -> float:
        return median(self.costs[mode])


def serving(folder: Path) -> list[Figure]:
    with contextlib.ExitStack() as running:
        nginx = running.enter_context(server("nginx", *nginx_command(folder)))
        ready = running.enter_context(server("heliograph", *web_command(folder, "config.wsgi:application")))
        bare = running.enter_context(server("bare_view", *web_command(folder, "tests.bench.bare:application")))
        for _ in range(ROUNDS):
            for mode in MODES:
                measure(nginx, mode)
                measure(ready, mode)
            measure(bare, "identity")
        slowest = slowest_while_publishing(ready)
    found = []
    for mode in MODES:
        found += [
            Figure(f"nginx_{mode}", nginx.rate(mode), "requests/s"),
            Figure(f"page_{mode}", ready.rate(mode), "requests/s", ready.rate(mode) / nginx.rate(mode), "nginx"),
            Figure(f"nginx_{mode}_cpu", nginx.cost(mode), "us/request"),
            Figure(f"page_{mode}_cpu", ready.cost(mode), "us/request", ready.cost(mode) / nginx.cost(mode), "nginx"),
        ]
    return [
        *found,
        Figure("bare_view_identity", bare.rate("identity"), "requests/s"),
        Figure("bare_view_identity_cpu", bare.cost("identity"), "us/request"),
        Figure(
            "page_beside_bare_view", ready.rate("identity"), "requests/s",
            ready.rate("identity") / bare.rate("identity"), "bare_view",
        ),
        Figure("page_slowest_while_publishing", slowest, "ms"),
        Figure("page_bytes", (settings.PAGE_DIR / "index.html").stat().st_size, "bytes"),
        Figure("page_bytes_gzip", (settings.PAGE_DIR / "index.html.gz").stat().st_size, "bytes"),
    ]  # fmt: skip


def nginx_command(folder: Path) -> tuple[list[str], int, dict[str, str]]:
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"""
daemon off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 2;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; gzip_static on;
  default_type text/html;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {settings.PAGE_DIR};
    location = /status {{ try_files /index.html =404; add_header Cache-Control "public, max-age=5"; }} }}
}}
"""
    )
    return ["nginx", "-p", str(folder), "-c", str(config)], port, {}


def web_command(folder: Path, application: str) -> tuple[list[str], int, dict[str, str]]:
    """The product's own command line, so that what is measured is what runs."""
    port = free_port()
    argv = list(programs.web("127.0.0.1", port, {}).argv)
    argv[-1] = application
    told = {"VAR_DIR": str(folder), "PAGE_DIR": str(settings.PAGE_DIR), "SECRET_KEY": "bench", "ENV_FILE": os.devnull}
    return argv, port, told


@contextlib.contextmanager
def server(name: str, argv: list[str], port: int, told: dict[str, str]) -> Iterator[Server]:
    process = subprocess.Popen(argv, env={**os.environ, **told}, stdout=sys.stderr, stderr=sys.stderr)
    try:
        wait(process, name, port)
        yield Server(name, port, process)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(process: subprocess.Popen[bytes], name: str, port: int) -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask(port).status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{name} did not start.")


def ask(port: int) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/status")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def measure(server: Server, mode: str) -> None:
    headers = {
        "gzip": ["-H", "Accept-Encoding: gzip"],
        "identity": [],
        "304": ["-H", f"If-None-Match: {ask(server.port).getheader('ETag')}"],
    }[mode]
    load(server, headers, 1)
    before = tree_cpu_seconds(server.process.pid)
    requests, rate, _ = load(server, headers, SECONDS)
    spent = tree_cpu_seconds(server.process.pid) - before
    server.rates.setdefault(mode, []).append(rate)
    server.costs.setdefault(mode, []).append(spent / requests * 1_000_000)


def load(server: Server, headers: list[str], seconds: int) -> tuple[int, float, float]:
    """Requests, requests per second, and the slowest answer in ms."""
    said = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "--latency",
            *headers,
            f"http://127.0.0.1:{server.port}/status",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in said:
        raise RuntimeError(said)
    requests = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    slowest = re.search(r"Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)", said)
    if not (requests and rate and slowest):
        raise RuntimeError(said)
    return int(requests[1]), float(rate[1]), float(slowest[1]) * {"us": 0.001, "ms": 1, "s": 1_000}[slowest[2]]


def slowest_while_publishing(server: Server) -> float:
    """The slowest answer in ms while the page changes every second."""
    over = threading.Event()
    brand, part = Brand.objects.get(), Component.objects.all()[0]

    def read() -> None:
        slow.append(load(server, ["-H", "Accept-Encoding: gzip"], 5)[2])
        over.set()

    slow: list[float] = []
    reader = threading.Thread(target=read)
    reader.start()
    number = 5_000
    while not over.wait(1.0):
        publish(brand, number, {part: Level.DEGRADED}, AT)
        press.press()
        number += 1
    reader.join()
    return slow[0]
