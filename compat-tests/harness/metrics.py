"""What a broker shows of itself, read with Prometheus' own parser."""

import re
import time
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

SETTLE_SECONDS = 10


def get(broker, path):
    """Status and body."""
    return send(broker, "GET", path)


def send(broker, method, path, body=None):
    request = urllib.request.Request(broker.admin_endpoint + path, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Page:
    """One reading of /metrics."""

    def __init__(self, broker):
        status, self.text = get(broker, "/metrics")
        assert status == 200, self.text
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def names(self):
        """The families' names as the page has them."""
        return re.findall(r"^# TYPE (\S+) ", self.text, re.MULTILINE)

    def value(self, name, **labels):
        """The sum of all samples of a name that have these labels; 0 if there is none."""
        wanted = labels.items()
        found = [s.value for s in self.samples if s.name == name and wanted <= s.labels.items()]
        return sum(found)


class Moved:
    """How far numbers have moved since this was made."""

    def __init__(self, broker):
        self.broker = broker
        self.before = Page(broker)

    def by(self, name, **labels):
        return Page(self.broker).value(name, **labels) - self.before.value(name, **labels)

    def reaches(self, wanted, name, **labels):
        """For what is counted after the answer has gone out: waits, and then must be exact."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (moved := self.by(name, **labels)) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        assert moved == wanted, (name, labels)
