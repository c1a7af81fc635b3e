"""What a book costs in the end."""

VAT = 7


def gross(net: int) -> int:
    return net * (100 + VAT) // 100
