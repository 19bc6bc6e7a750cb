"""Tables: ISO 639-3 to ISO 639-1, the codes Wikipedia spells otherwise, and the letters of each script."""

from types import MappingProxyType

__all__ = ["ISO_639_1", "SCRIPT_RANGES", "WIKIPEDIA_CODES"]

# ISO 639-3 code set, part 1 identifiers (iso639-3.sil.org), 639-1 first.
_PART_1 = """
aa aar ab abk ae ave af afr ak aka am amh an arg ar ara as asm av ava ay aym az aze ba bak be bel bg bul bi bis bm bam
bn ben bo bod br bre bs bos ca cat ce che ch cha co cos cr cre cs ces cu chu cv chv cy cym da dan de deu dv div dz dzo
ee ewe el ell en eng eo epo es spa et est eu eus fa fas ff ful fi fin fj fij fo fao fr fra fy fry ga gle gd gla gl glg
gn grn gu guj gv glv ha hau he heb hi hin ho hmo hr hrv ht hat hu hun hy hye hz her ia ina id ind ie ile ig ibo ii iii
ik ipk io ido is isl it ita iu iku ja jpn jv jav ka kat kg kon ki kik kj kua kk kaz kl kal km khm kn kan ko kor kr kau
ks kas ku kur kv kom kw cor ky kir la lat lb ltz lg lug li lim ln lin lo lao lt lit lu lub lv lav mg mlg mh mah mi mri
mk mkd ml mal mn mon mr mar ms msa mt mlt my mya na nau nb nob nd nde ne nep ng ndo nl nld nn nno no nor nr nbl nv nav
ny nya oc oci oj oji om orm or ori os oss pa pan pi pli pl pol ps pus pt por qu que rm roh rn run ro ron ru rus rw kin
sa san sc srd sd snd se sme sg sag si sin sk slk sl slv sm smo sn sna so som sq sqi sr srp ss ssw st sot su sun sv swe
sw swa ta tam te tel tg tgk th tha ti tir tk tuk tl tgl tn tsn to ton tr tur ts tso tt tat tw twi ty tah ug uig uk ukr
ur urd uz uzb ve ven vi vie vo vol wa wln wo wol xh xho yi yid yo yor za zha zh zho zu zul
""".split()
# Members of macrolanguages that models name, by the macrolanguage's 639-1 code.
_MEMBERS = """
ar arb az azj et ekk fa pes ff fuv gn gug ku kmr lv lvs mg plt mn khk ms zsm ne npi om gaz or ory ps pbt qu quy sq als
sw swh uz uzn yi ydd zh cmn tl fil
""".split()

ISO_639_1 = MappingProxyType(
    {three: two for codes in (_PART_1, _MEMBERS) for two, three in zip(codes[::2], codes[1::2], strict=True)}
)
"""ISO 639-3 to ISO 639-1."""

WIKIPEDIA_CODES = MappingProxyType({"als": "gsw", "bh": "bho", "eml": "egl", "sh": "hbs"})
"""Labels of lid.176, which are Wikipedia's, that mean another language in ISO 639, or none."""

_LETTERS = (
    (
        "Latn",
        "41-5A 61-7A AA BA C0-D6 D8-F6 F8-2AF 1D00-1D25 1E00-1EFF 2C60-2C7F A722-A7FF AB30-AB64 FF21-FF3A FF41-FF5A",
    ),
    ("Grek", "370-373 376-377 37B-37D 37F 386 388-3E1 3F0-3FF 1F00-1FFF"),
    ("Cyrl", "400-52F 1C80-1C8A 2DE0-2DFF A640-A69F"),
    ("Armn", "531-556 560-588"),
    ("Hebr", "5D0-5F2 FB1D-FB4F"),
    ("Arab", "620-64A 66E-6D3 6D5 6EE-6EF 6FA-6FF 750-77F 8A0-8C9 FB50-FDFF FE70-FEFC"),
    ("Syrc", "710-74F"),
    ("Thaa", "780-7B1"),
    ("Nkoo", "7CA-7EA"),
    ("Deva", "900-963 970-97F A8E0-A8FF"),
    ("Beng", "980-9E3 9F0-9FE"),
    ("Guru", "A00-A65 A70-A76"),
    ("Gujr", "A80-AE3 AF9-AFF"),
    ("Orya", "B00-B63 B71"),
    ("Taml", "B80-BE5"),
    ("Telu", "C00-C63"),
    ("Knda", "C80-CE3"),
    ("Mlym", "D00-D63"),
    ("Sinh", "D80-DF3"),
    ("Thai", "E01-E3A E40-E4E"),
    ("Laoo", "E80-ECD EDC-EDF"),
    ("Tibt", "F40-FBC"),
    ("Mymr", "1000-103F 1050-108F AA60-AA7F"),
    ("Geor", "10A0-10FF 1C90-1CBF 2D00-2D2F"),
    ("Hang", "1100-11FF 3131-318E A960-A97F AC00-D7A3 D7B0-D7FF"),
    ("Ethi", "1200-135A 1380-138F 2D80-2DDE"),
    ("Cher", "13A0-13FD AB70-ABBF"),
    ("Cans", "1401-167F 18B0-18F5"),
    ("Khmr", "1780-17D3"),
    ("Mong", "1820-18AA"),
    ("Tfng", "2D30-2D6F"),
    ("Kana", "3041-3096 309D-309F 30A1-30FA 30FC-30FF 31F0-31FF FF66-FF9D"),
    ("Bopo", "3105-312F 31A0-31BF"),
    ("Yiii", "A000-A48C"),
    ("Hani", "3005 3007 3400-4DBF 4E00-9FFF F900-FAFF 20000-323AF"),
)


def _ranges() -> tuple[tuple[int, str], ...]:
    spans: list[tuple[int, int, str]] = []
    for name, written in _LETTERS:
        for span in written.split():
            first, _, last = span.partition("-")
            spans.append((int(first, 16), int(last or first, 16) + 1, name))
    starts: list[tuple[int, str]] = [(0, "Zyyy")]
    for start, end, name in sorted(spans):
        if starts[-1][0] == start:
            starts.pop()
        starts += [(start, name), (end, "Zyyy")]
    return tuple(starts)


SCRIPT_RANGES = _ranges()
"""First code point of each range, ascending, and the ISO 15924 code of its letters: Zyyy where there are none, Kana for
hiragana and katakana together. For telling scripts apart, after the blocks of Unicode 16; no character database."""
