"""`compose.demo.yaml`, as somebody watches it who types what the loader says."""

import re
from contextlib import contextmanager

from .engine import REPOSITORY, Project, check, docker, until

LINE = re.compile(r"pictures (\d+)  answered (\d+)  errors (\d+)  \|  hit (\d+)  miss (\d+)  "
                  r"stale (\d+)  \|  from new (\d+)  from old (\d+)")


class Line:
    """One second of the journey."""

    def __init__(self, numbers):
        (self.pictures, self.answered, self.errors, self.hit, self.miss, self.stale, self.new,
         self.old) = (int(number) for number in numbers)


class Watched:
    def __init__(self, images, name):
        self.project = Project(name, [REPOSITORY / "docker/compose.demo.yaml"],
                               REPOSITORY / "docker", {"GATEWAY_IMAGE": images.gateway("first"),
                                                       **images.services_variables()})

    def lines(self):
        said = docker("logs", self.project.container("loader"))
        return [Line(numbers) for numbers in LINE.findall(said)]

    def later(self, what, holds, count=2):
        """A line that is printed from now on, the second at the earliest."""
        begun = len(self.lines()) + count
        return until(what, lambda: next((line for line in self.lines()[begun:] if holds(line)),
                                        None))


@contextmanager
def watched(images, name):
    place = Watched(images, name)
    with place.project:
        place.project("up", "--detach", "--no-color")
        until("the loader looks at pictures", lambda: len(place.lines()) > 1, within=120)
        yield place


def the_journey_goes_as_the_loader_says(images, place):
    first = place.lines()[0]
    check(first.old == 40, f"{first.old} of the first pictures came from the old bucket")
    said = place.project.inside("migrate", "--from", "old", "--to", "new")
    check("new 0" not in said, said)
    until("a second run finds nothing new", lambda: re.search(
        r"new\s+0\b", place.project.inside("migrate", "--from", "old", "--to", "new")))
    place.project.inside("audit", "old", "--quiet-for", "1s")
    docker("stop", "--time", "1", place.project.container("old"))
    place.project.inside("purge", "--all", "--yes")
    line = place.later("everything comes from the new bucket", lambda line: line.old == 0)
    check(line.new == line.answered >= 40, f"{line.new} of {line.answered} came from new")
    docker("stop", "--time", "1", place.project.container("new"))
    line = place.later("all is held", lambda line: line.hit + line.stale == line.pictures)
    errors = sum(line.errors for line in place.lines())
    check(errors == 0, f"viewers saw {errors} errors on the way")
    print(f"    {sum(line.answered for line in place.lines())} answers, no error")


PLACE = watched
TESTS = (the_journey_goes_as_the_loader_says,)
