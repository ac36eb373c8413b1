"""The shop's tables in MySQL or MariaDB. `sale_datetime` is UTC without a fraction of a second, as in the original."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, Integer, Numeric, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The shop's metadata; InnoDB with four-byte UTF-8, whatever the server's defaults."""


_MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


class FlashSale(Base):
    """One flash sale; `sale_price` = `original_price` less `discount` per cent, to the cent, half up."""

    __tablename__ = "flash_sales"
    __table_args__ = _MYSQL

    sale_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    customer_id: Mapped[int | None] = mapped_column(BigInteger)
    province_id: Mapped[int | None] = mapped_column(Integer)
    product_id: Mapped[str | None] = mapped_column(String(32))
    region_id: Mapped[str | None] = mapped_column(String(32))
    discount: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    original_price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    sale_price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    quantity: Mapped[int | None] = mapped_column(Integer)
    sale_datetime: Mapped[datetime | None] = mapped_column(DateTime(timezone=False))


class Product(Base):
    """P10 to P99."""

    __tablename__ = "product"
    __table_args__ = _MYSQL

    product_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    product_group: Mapped[str | None] = mapped_column(String(64))
    product_name: Mapped[str | None] = mapped_column(String(128))


class Page(Base):
    """Page_10 to Page_99."""

    __tablename__ = "pages"
    __table_args__ = _MYSQL

    page_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    page_group: Mapped[str | None] = mapped_column(String(64))
    page_name: Mapped[str | None] = mapped_column(String(128))


class Region(Base):
    """Region_1 to Region_9."""

    __tablename__ = "region"
    __table_args__ = _MYSQL

    region_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    region_name: Mapped[str | None] = mapped_column(String(64))
