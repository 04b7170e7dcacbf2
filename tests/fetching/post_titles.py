"""Everything that is specific to JSONPlaceholder: the title of a post is its name."""

import msgspec

from pokemon_names.model import Name

HEADERS = {"Accept": "application/json"}
PATHS = ("posts/{}",)
LIST_PATHS = ("posts",)
LIST_NAME = "the list of all posts"


class Post(msgspec.Struct):
    """The fields needed of one post."""

    id: int
    title: Name


def decode_name(content: bytes | bytearray, number: int) -> str:
    """Return the title of a post, or raise ValueError if the body is another post's."""
    post = msgspec.json.decode(content, type=Post)
    if post.id != number:
        raise ValueError(f"the body belongs to number {post.id}")
    return post.title


def is_missing(_: bytes | bytearray) -> bool:
    """Return False, because a post that does not exist is a 404."""
    return False


def decode_list(content: bytes | bytearray) -> dict[int, str]:
    """Return the titles of all posts by number."""
    posts = msgspec.json.decode(content, type=list[Post])
    return {post.id: post.title for post in posts}
