"""How the picture of a race moves: in the time that the requests took, and without a script.

A curtain opens over all lanes at the pace of the time axis, so that each bar grows as its request
went on. It is SMIL, because its duration would need a style of its own in CSS. But SMIL's clock may
run from the request for the page on, and a race takes longer than its picture. So the picture
appears by a CSS animation, which begins once it is there, and all else begins with that. Who wants
no motion has no such animation, and sees the picture as it is in the end.
"""

PICTURE = "picture"  # the id of what appears
AGAIN = "again"  # the id of the link that plays it again


def curtain(name: str, left: float, width: float, duration_ms: float) -> str:
    """Return a clip path that opens from the left to its width, both in percent."""
    opening = animate("width", "0%", f"{width}%", duration_ms)
    rect = f'<rect x="{left}%" width="{width}%" height="100%">{opening}</rect>'
    return f'<clipPath id="{name}">{rect}</clipPath>'


def visibility(value: str, duration_ms: float) -> str:
    """Return what makes an element visible or hidden until that time."""
    return f'<set attributeName="visibility" to="{value}" {_timing(duration_ms)}/>'


def animate(attribute: str, start: str, end: str, duration_ms: float) -> str:
    """Return what moves an attribute from one value to another."""
    values = f'from="{start}" to="{end}"'
    timing = _timing(duration_ms)
    return f'<animate attributeName="{attribute}" {values} {timing} fill="freeze"/>'


def _timing(duration_ms: float) -> str:
    """Return when an animation runs: as the picture appears, and with each click on its link."""
    milliseconds = max(1, round(duration_ms))
    return f'begin="{PICTURE}.animationstart;{AGAIN}.click" dur="{milliseconds}ms"'
