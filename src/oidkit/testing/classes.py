"""The classes of a made release: real ones first, with the names that each release gave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oidkit.catalog import Release

__all__ = ["HANDGUN", "PERSON", "MadeClass", "image_level_classes", "made_classes"]

PERSON = "/m/01g317"
HANDGUN = "/m/0gxl3"

# mid | names in V7 / V5 / V4 where they differ | what it is a kind of | + has masks, - has none;
# in the order of how often they occur in a made release
_REAL = """
/m/01g317|Person||+
/m/09j2d|Clothing||+
/m/04yx4|Man|Person|+
/m/07j7r|Tree|Plant|+
/m/0dzct|Human face||-
/m/03bt1vf|Woman|Person|+
/m/0c9ph5|Flower|Plant|+
/m/0k4j|Car|Land vehicle|+
/m/083wq|Wheel|Auto part|-
/m/09j5n|Footwear|Clothing|+
/m/0k65p|Human hand||-
/m/0d4v4|Window||-
/m/0bt9lr|Dog|Carnivore|+
/m/01mzpv|Chair|Furniture|+
/m/0cmf2|Fixed-wing aircraft/Airplane|Aircraft|+
/m/01yrx|Cat|Carnivore|+
/m/015p6|Bird|Animal|+
/m/02wbm|Food||-
/m/0cgh4|Building||-
/m/0199g|Bicycle|Land vehicle,Sports equipment|+
/m/0gxl3|Handgun|Weapon|+
/m/0cyhj_|Orange (fruit)/Orange|Fruit|+
/m/014j1m|Apple|Fruit|+
/m/0663v|Pizza|Food|+
/m/0pg52|Taxi|Car|+
/m/01c648|Laptop||+
/m/01m2v|Computer keyboard||+
/m/031n1|Human foot||-
/m/0zvk5|Helmet|Clothing,Sports equipment|+
/m/0jbk|Animal||-
/m/07yv9|Vehicle||-
/m/01prls|Land vehicle|Vehicle|-
/m/05s2s|Plant||-
/m/02xwb|Fruit|Food|-
/m/083kb|Weapon||-
/m/04ctx|Knife|Weapon,Kitchen utensil|+
/m/06c54|Rifle|Weapon|+
/m/06nrc|Shotgun|Weapon|+
/m/01_5g|Chopsticks|Kitchen utensil|+
/m/01jfm_|Vehicle registration plate|Auto part|+
/m/013y1f|Organ (Musical Instrument)/Organ (Musical Instrument)/Organ|Musical instrument|+
/m/04szw|Musical instrument||-
/m/05y5lj|Sports equipment||-
/m/018xm|Ball (Object)/Ball|Sports equipment|+
/m/02vqfm|Coffee (drink)/Coffee||+
/m/033cnk|Egg/Egg (Food)/Egg|Food|+
/m/09k_b|Lemon (plant)/Lemon|Fruit|+
/m/015h_t|Beard/Human beard||-
/m/01r546|Earring/Earrings||+
/m/0xzly|Maraca/Maracas|Musical instrument|+
/m/01h44|Bat (Animal)/Bat (Animal)/Bat|Mammal|+
/m/0449p|Jaguar (Animal)/Jaguar (Animal)/Jaguar|Carnivore|+
/m/054xkw|Personal flotation device/Personal flotation device/Lifejacket|Sports equipment|+
/m/02p0tk3|Human body||-
/m/04rky|Mammal|Animal|-
/m/01lrl|Carnivore|Mammal|-
/m/0k5j|Aircraft|Vehicle|-
/m/0c_jw|Furniture||-
/m/050k8|Mobile phone||+
/m/08dz3q|Auto part||-
/m/03hlz0c|Kitchen utensil||-
/m/01bl7v|Boy|Person|+
/m/05r655|Girl|Person|+
/m/01bjv|Bus|Land vehicle|+
/m/07r04|Truck|Land vehicle|+
/m/019jd|Boat|Vehicle|+
/m/04dr76w|Bottle||+
/m/04bcr3|Table|Furniture|+
/m/03jm5|House|Building|-
/m/02dl1y|Hat|Clothing|+
/m/0jyfg|Glasses||+
/m/017ftj|Sunglasses||+
/m/03k3r|Horse|Mammal|+
/m/01xq0k1|Cattle|Mammal|+
/m/07bgp|Sheep|Mammal|+
/m/0bwd_0j|Elephant|Mammal|+
/m/096mb|Lion|Carnivore|+
/m/0ch_cf|Fish|Animal|+
/m/09ddx|Duck|Bird|+
/m/0342h|Guitar|Musical instrument|+
/m/05r5c|Piano|Musical instrument|+
/m/0bt_c3|Book||-
/m/01x3z|Clock||+
/m/0hnnb|Umbrella||+
/m/06y5r|Sword|Weapon|+
/m/09728|Bread|Food|+
/m/0fszt|Cake|Food|+
"""

# classes of image labels alone; V7 has no name twice, V6 has some that differ in nothing
_LABELS_ONLY = """
/m/067_4k|4 \u00d7 100 metres relay
/m/0dzcqd|Acarajé
/m/03n7z7|Landing ship, tank
/m/01wdp|Cucumber, gourd, and melon family
/m/02wvth|Fiat 500 "topolino"
/m/0c4936|'Nduja
/m/02sjdf|Żubrówka
/g/1z0spln4d|Beef clod
/g/11c3krnq6j|Bike path
/m/0156sn|Ball game/Ball
/m/01b_cr|Paisley (pattern)/Paisley
/m/01vc3y|Paisley
/m/04ffcj|Lilac (colour)/Lilac
/m/0k354|Lilac/lilac
"""


@dataclass(frozen=True, slots=True)
class MadeClass:
    """A class: its MID, its names in V7, in V5 and V6, and in V4, and what it is a kind of."""

    mid: str
    v7: str
    v5: str
    v4: str
    parents: tuple[str, ...] = ()
    """Display names (V7) of the classes above it; several where it hangs in several branches."""
    segmentable: bool = True

    def name(self, release: Release) -> str:
        """Give the display name that a release gives it; V6 names are those of V5."""
        return {"v4": self.v4, "v5": self.v5, "v6": self.v5, "v7": self.v7}[release]


def _named(mid: str, names: str, *, parents: str = "", masks: bool = True) -> MadeClass:
    given = names.split("/")
    v7, v5, v4 = given[0], given[min(1, len(given) - 1)], given[-1]
    return MadeClass(mid, v7, v5, v4, tuple(each for each in parents.split(",") if each), masks)


def made_classes(count: int) -> tuple[MadeClass, ...]:
    """Give the boxable classes, the most frequent first."""
    real = [
        _named(mid, names, parents=parents, masks=masks == "+")
        for mid, names, parents, masks in (line.split("|") for line in _REAL.split("\n") if line)
    ]
    synthetic = [
        _named(f"/m/0zz{at:03d}", f"Class {at:03d}", masks=at % 5 != 0)
        for at in range(count - len(real))
    ]
    return tuple([*real, *synthetic][:count])


def image_level_classes(count: int) -> tuple[MadeClass, ...]:
    """Give classes that have image labels alone."""
    real = [_named(*line.split("|")) for line in _LABELS_ONLY.split("\n") if line]
    synthetic = [_named(f"/m/0yy{at:05d}", f"Label {at:05d}") for at in range(count - len(real))]
    return tuple([*real, *synthetic][:count])
