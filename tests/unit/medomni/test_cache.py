import os

from medomni.cache import Cache, key_of


def test_what_is_kept_comes_back_bit_for_bit(tmp_path):
    cache = Cache(tmp_path / "kept", 1 << 20)
    assert cache.get(key_of("a")) is None
    cache.put(key_of("a"), b"masks")
    assert cache.get(key_of("a")) == b"masks"
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0


def test_flipped_bit_drops_the_entry(tmp_path):
    cache = Cache(tmp_path, 1 << 20)
    cache.put("k", b"masks")
    (file,) = tmp_path.glob("*.kept")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert cache.get("k") is None
    assert not file.exists()


def test_least_recently_used_goes_first(tmp_path):
    cache = Cache(tmp_path, 3 * (1000 + 32))
    for number in range(3):
        cache.put(f"k{number}", bytes(1000))
        os.utime(tmp_path / f"k{number}.kept", ns=(number, number))
    assert cache.get("k0")
    cache.put("k3", bytes(1000))
    assert [cache.get(f"k{number}") is not None for number in range(4)] == [True, False, True, True]


def test_too_large_a_result_and_a_cache_of_nothing_keep_nothing(tmp_path):
    Cache(tmp_path, 100).put("k", bytes(1000))
    Cache(tmp_path / "none", 0).put("k", b"x")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file", 1 << 20)
    cache.put("k", b"x")
    assert cache.get("k") is None


def test_key_tells_parts_apart():
    assert key_of("ab", "c") != key_of("a", "bc")
    assert len(key_of("a")) == 64
