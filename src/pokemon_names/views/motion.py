"""The animation of a race's picture: it lasts as long as the requests did, and needs no script.

A curtain opens over all lanes at the pace of the time axis, so each bar grows as its request
progressed. The animation is SMIL, because CSS would need a separate style for each duration. But
SMIL's clock may start when the page is requested, and running the race takes longer than playing
it: the animation would be over before anyone sees it. So the picture fades in with a CSS animation,
which starts when the picture is on the screen, and SMIL starts with that. It begins to fade from
nearly its full opacity, so not even its first frame is empty. With reduced motion there is no CSS
animation, so the picture shows its final state.
"""

PICTURE = "picture"  # the id of the element that fades in
AGAIN = "again"  # the id of the link that replays the animation


def curtain(name: str, left: float, width: float, duration_ms: float) -> str:
    """Return a clip path that opens from the left to its width, both in percent."""
    opening = animate("width", "0%", f"{width}%", duration_ms)
    rect = f'<rect x="{left}%" width="{width}%" height="100%">{opening}</rect>'
    return f'<clipPath id="{name}">{rect}</clipPath>'


def visibility(value: str, duration_ms: float) -> str:
    """Return an animation that shows or hides an element for the duration."""
    return f'<set attributeName="visibility" to="{value}" {_timing(duration_ms)}/>'


def visible_between(start: float, end: float, duration_ms: float) -> str:
    """Return an animation that shows a hidden element between two fractions of the duration."""
    values = f'values="hidden;visible;hidden" keyTimes="0;{start:.4g};{end:.4g}"'
    timing = f'calcMode="discrete" {_timing(duration_ms)}'
    return f'<animate attributeName="visibility" {values} {timing}/>'


def animate(attribute: str, start: str, end: str, duration_ms: float) -> str:
    """Return an animation of an attribute from one value to another."""
    values = f'from="{start}" to="{end}"'
    timing = _timing(duration_ms)
    return f'<animate attributeName="{attribute}" {values} {timing} fill="freeze"/>'


def _timing(duration_ms: float) -> str:
    """Return the timing of an animation: it starts as the picture fades in, and at each click."""
    milliseconds = max(1, round(duration_ms))
    return f'begin="{PICTURE}.animationstart;{AGAIN}.click" dur="{milliseconds}ms"'
