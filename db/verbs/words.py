"""Readable names for experiments that were given none, such as `quiet-otter-17`."""

from __future__ import annotations

import secrets

QUALITIES = (
    "amber ample apt arctic azure balmy bold brave breezy bright brisk calm candid civil clear clever cosy crisp "
    "curious dapper deft dusky eager early earnest even fair fleet fond frank fresh gentle glad golden grand hardy "
    "hazel hearty honest humble jolly keen kind level lively lucid lunar merry mild misty modest neat nimble noble "
    "patient plain polite proud quick quiet ready rosy round rustic sandy sharp silent silver sleek smooth snowy solar "
    "steady still sunny swift tender tidy tranquil trusty upbeat vivid warm wise witty young"
)
THINGS = (
    "acorn alder anchor aspen badger beacon beaver birch bison brook canyon cedar clover comet condor coral crane "
    "creek cricket curlew cypress delta dolphin dune eagle egret elm falcon fern finch fjord fox gannet geyser glacier "
    "grove gull harbor hare harrier hawk hazel heron hickory hill ibis iris island ivy jay juniper kestrel lagoon lake "
    "lantern larch lark laurel lemur linden lynx maple marmot marsh martin meadow mesa mink moose moss newt oak orchid "
    "osprey otter owl panda pebble pelican pine plover poplar prairie puffin quail quartz raven reef ridge river robin "
    "salmon sequoia sparrow spruce stork summit swallow swan teal thistle thrush tundra valley walnut willow wren"
)


def readable_name(largest: int) -> str:
    """Two words, and a number up to `largest`."""
    return f"{secrets.choice(QUALITIES.split())}-{secrets.choice(THINGS.split())}-{secrets.randbelow(largest) + 1}"
