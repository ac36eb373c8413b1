"""The topics of flash sales, and what is made of them: the specification's outputs, and four more of ksqlDB's.

Names of topics and states, and what `name=` says, stand in running applications' topics: they never change.
"""

from pipeline import (
    Application,
    Bulk,
    CodePage,
    Count,
    DatabaseTable,
    Hopping,
    Incrementing,
    Session,
    Stream,
    SumDecimal,
    Table,
    Tumbling,
    c,
    cast,
    f,
)
from pipeline.settings import Settings
from pipeline.timebase import DAY_MS

MAX_MS = 253_402_300_799_999
"""9999-12-31 23:59:59.999, the last time that its text can show."""
MAX_AMOUNT = 10**13
"""A larger amount is an error somewhere; and sums of such ones, in cents, would not fit into Avro's long."""
SHOWN = "yyyy-MM-dd HH:mm:ss"

views = Stream("PageView", "pageview", key="userid")
sales = Stream("MysqlSource-flash_sales", "flash_sale", key="sale_id", time="sale_datetime")
users = Table("Users_", "user", key="userid", retention_ms=7 * DAY_MS).require(
    c.registertime.between(0, MAX_MS), f"registertime is not in 0 .. {MAX_MS} ms"
)
pages = Table("MysqlSource-pages", "page", key="page_id", everywhere=True)
products = Table("MysqlSource-product", "product", key="product_id", everywhere=True)
regions = Table("MysqlSource-region", "region", key="region_id", everywhere=True)

user_transformed = users.select(
    c.userid,
    registertime=f.format_timestamp(f.from_unixtime(c.registertime), SHOWN),
    registertime_ms=c.registertime,
    gender=c.gender,
    regionid=c.regionid,
    interests_1=c.interests[1],
    interests_2=c.interests[2],
    phone=c.contactinfo["phone"],
    city=c.contactinfo["city"],
    state=c.contactinfo["state"],
    zipcode=c.contactinfo["zipcode"],
).to("USER_TRANSFORMED_TABLE", schema="user_transformed")

extended_pageviews = (
    views.repartition("pageview-by-userid", key=c.userid)
    .join("user", users.select(c.regionid, c.gender).named("users"))
    .join("page", pages, on=c.pageid)
    .join("region", regions, on=c.user.regionid)
    .select(
        c.userid,
        c.pageid,
        c.viewtime,
        page_group=c.page.page_group,
        page_name=c.page.page_name,
        regionid=c.user.regionid,
        gender=c.user.gender,
        region_name=c.region.region_name,
        event_time_ms=c.ROWTIME,
        origin_partition=c.ROWPARTITION,
        origin_offset=c.ROWOFFSET,
    )
    .to("EXTENDED_PAGEVIEWS_STREAM", schema="extended_pageview", time="event_time_ms")
)

amount = c.sale_price * c.quantity
"""Of a sale, in whole cents: of a finer price it is rounded half up."""

extended_sales = (
    sales.require(amount.is_null() | amount.between(-MAX_AMOUNT, MAX_AMOUNT), f"its amount is beyond {MAX_AMOUNT}")
    .join("product", products, on=c.product_id)
    .join("region", regions, on=c.region_id)
    .select(
        c.sale_id,
        c.customer_id,
        c.province_id,
        c.product_id,
        c.region_id,
        c.quantity,
        discount=cast(c.discount, "DOUBLE"),
        original_price=cast(c.original_price, "DOUBLE"),
        sale_price=cast(c.sale_price, "DOUBLE"),
        sale_datetime=c.ROWTIME,
        product_group=c.product.product_group,
        product_name=c.product.product_name,
        region_name=c.region.region_name,
        sales_amount=cast(amount, "DOUBLE"),
        sales_amount_cents=cast(amount * 100, "BIGINT"),
        event_time_ms=c.ROWTIME,
        origin_partition=c.ROWPARTITION,
        origin_offset=c.ROWOFFSET,
    )
    .to("EXTENDED_FLASHSALES_STREAM", schema="extended_flash_sale", time="event_time_ms")
)


def application(settings: Settings) -> Application:
    """The application, with windows as they are set."""
    grace = -1 if settings.grace_ms is None else settings.grace_ms
    tumbling = Tumbling(settings.tumbling_size_ms, grace_ms=grace)
    hopping = Hopping(settings.hopping_size_ms, settings.hopping_advance_ms, grace)
    session = Session(settings.session_gap_ms, grace)

    viewed = extended_pageviews.named("pageview")
    groups = viewed.group_by(c.page_group)
    totals = groups.aggregate(total_pageview=Count())
    window = "total_pageview_window"

    sold = extended_sales.named("flashsale")
    by_group = sold.group_by(c.product_group).aggregate(total_sales=SumDecimal(c.sales_amount_cents))
    by_region = sold.group_by(c.region_name).aggregate(total_sales=SumDecimal(c.sales_amount_cents))
    by_productgroup = "total_sales_by_productgroup"
    return Application(
        "flash_sales",
        user_transformed,
        groups.aggregate(count_view=Count()).to(
            "PAGEVIEWS_BY_PAGEGROUP_TABLE", name="pageviews_by_pagegroup", schema="pageviews_by_pagegroup"
        ),
        viewed.group_by(c.region_name)
        .aggregate(count_view=Count())
        .to("PAGEVIEWS_BY_REGION_TABLE", name="pageviews_by_region", schema="pageviews_by_region"),
        totals.window(tumbling).to(
            "TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW", name="pageviews_tumbling", schema=window
        ),
        totals.window(hopping).to(
            "TOTAL_PAGEVIEW_BY_PAGEGROUP_HOPPING_WINDOW", name="pageviews_hopping", schema=window
        ),
        totals.window(session).to(
            "TOTAL_PAGEVIEW_BY_PAGEGROUP_SESSION_WINDOW", name="pageviews_session", schema="total_pageview_session"
        ),
        by_group.window(tumbling).to(
            "TOTAL_SALES_BY_PRODUCTGROUP_TUMBLING_WINDOW", name="sales_by_productgroup", schema=by_productgroup
        ),
        by_region.window(tumbling).to(
            "TOTAL_SALES_BY_REGION_TUMBLING_WINDOW", name="sales_by_region", schema="total_sales_by_region"
        ),
        by_group.window(hopping).to(
            "TOTAL_SALES_BY_PRODUCTGROUP_HOPPING_WINDOW", name="sales_hopping", schema=by_productgroup
        ),
        by_group.window(session).to(
            "TOTAL_SALES_BY_PRODUCTGROUP_SESSION_WINDOW", name="sales_session", schema=f"{by_productgroup}_session"
        ),
        prefix="pipeline",
        sources=[
            DatabaseTable(sales, "flash_sales", Incrementing("sale_id")),
            DatabaseTable(products, "product", Bulk()),
            DatabaseTable(regions, "region", Bulk()),
            DatabaseTable(pages, "pages", Bulk()),
        ],
        pinot=True,
        page=CodePage("pipeline.dashboard.app:create_app"),
    )
