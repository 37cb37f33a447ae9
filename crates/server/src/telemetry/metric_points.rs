//! Metrics as OpenTelemetry's collectors read them.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::Attributes;

use super::exposition::{Buckets, Family, FamilyValues, Labels};

/// When counting began, and when it was looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    pub(super) began_at: SystemTime,
    pub(super) until: SystemTime,
}

/// The request that brings all families to a collector.
pub(super) fn request(
    families: Vec<Family>,
    resource: &opentelemetry_sdk::Resource,
    period: Period,
) -> ExportMetricsServiceRequest {
    let attributes = resource
        .iter()
        .map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
    let scope = InstrumentationScope {
        name: "siamese".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let of_scope = ScopeMetrics {
        scope: Some(scope),
        metrics: families
            .into_iter()
            .map(|family| metric(family, period))
            .collect(),
        ..ScopeMetrics::default()
    };
    let of_service = ResourceMetrics {
        resource: Some(Resource {
            attributes: Attributes::from(attributes).0,
            ..Resource::default()
        }),
        scope_metrics: vec![of_scope],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![of_service],
    }
}

fn metric(family: Family, period: Period) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let data = match family.values {
        FamilyValues::Counters(series) => Data::Sum(Sum {
            data_points: numbers(series, period),
            aggregation_temporality,
            is_monotonic: true,
        }),
        FamilyValues::Gauges(series) => Data::Gauge(Gauge {
            data_points: numbers(series, period),
        }),
        FamilyValues::Histograms(series) => Data::Histogram(Histogram {
            data_points: series
                .into_iter()
                .map(|(labels, buckets)| histogram(labels, &buckets, period))
                .collect(),
            aggregation_temporality,
        }),
    };
    Metric {
        name: family.name,
        description: family.help,
        data: Some(data),
        ..Metric::default()
    }
}

fn numbers(series: Vec<(Labels, f64)>, period: Period) -> Vec<NumberDataPoint> {
    let point = |(labels, value)| NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: unix_ns(period.began_at),
        time_unix_nano: unix_ns(period.until),
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    series.into_iter().map(point).collect()
}

/// OTLP counts each bucket by itself, and has one more of them than bounds: what is over the last.
fn histogram(labels: Labels, buckets: &Buckets, period: Period) -> HistogramDataPoint {
    let bounds = buckets.up_to.iter().map(|(bound, _)| *bound);
    let before = std::iter::once(0).chain(buckets.up_to.iter().map(|(_, count)| *count));
    let counts = buckets.up_to.iter().map(|(_, count)| *count);
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: unix_ns(period.began_at),
        time_unix_nano: unix_ns(period.until),
        count: buckets.count,
        sum: Some(buckets.sum),
        bucket_counts: counts
            .zip(before)
            .map(|(up_to, before)| up_to.saturating_sub(before))
            .collect(),
        explicit_bounds: bounds.filter(|bound| bound.is_finite()).collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let attribute = |(key, value)| KeyValue {
        key,
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value)),
        }),
        ..KeyValue::default()
    };
    labels.into_iter().map(attribute).collect()
}

fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::exposition::families;
    use super::*;

    #[test]
    fn buckets_count_by_themselves_and_labels_become_attributes() {
        let text = "# TYPE c histogram\nc_bucket{x=\"1\",le=\"0.5\"} 1\nc_bucket{x=\"1\",le=\"2\"} 1\n\
                    c_bucket{x=\"1\",le=\"+Inf\"} 4\nc_sum{x=\"1\"} 7.25\nc_count{x=\"1\"} 4\n";
        let period = Period {
            began_at: UNIX_EPOCH + Duration::from_secs(1),
            until: UNIX_EPOCH + Duration::from_secs(2),
        };
        let resource = opentelemetry_sdk::Resource::builder_empty().build();
        let request = request(families(text), &resource, period);
        let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
        let Some(Data::Histogram(histogram)) = &metric.data else {
            panic!("{metric:?}");
        };
        let point = &histogram.data_points[0];
        assert_eq!(point.bucket_counts, [1, 0, 3]);
        assert_eq!(point.explicit_bounds, [0.5, 2.0]);
        assert_eq!((point.count, point.sum), (4, Some(7.25)));
        assert_eq!(point.attributes[0].key, "x");
        assert_eq!(point.start_time_unix_nano, 1_000_000_000);
        assert_eq!(point.time_unix_nano, 2_000_000_000);
    }
}
