-- The ten products with the highest sales of the last hour, with pieces sold and the average discount in percent.
SELECT product_name,
       product_group,
       SUM(sales_amount_cents) AS sales_cents,
       SUM(quantity) AS pieces,
       AVG(discount) AS average_discount
FROM EXTENDED_FLASHSALES_STREAM
WHERE event_time_ms >= ago('PT1H')
GROUP BY product_name, product_group
ORDER BY SUM(sales_amount_cents) DESC
LIMIT 10
