-- Get all running backfill jobs
SELECT * FROM backfill_jobs 
WHERE status = 'running' 
ORDER BY started_at DESC;

-- Get job progress
SELECT 
    id,
    job_type,
    progress_percentage,
    current_block,
    end_block,
    estimated_completion
FROM backfill_jobs 
WHERE id = 'job-uuid-here';

-- Get failed jobs in last 24 hours
SELECT * FROM backfill_jobs 
WHERE status = 'failed' 
  AND started_at > NOW() - INTERVAL '24 hours'
ORDER BY started_at DESC;

-- Get feedback statistics for an insight
SELECT 
    insight_id,
    COUNT(*) FILTER (WHERE rating IS NOT NULL) as total_ratings,
    AVG(rating) as average_rating,
    COUNT(*) FILTER (WHERE comment IS NOT NULL) as total_comments,
    COUNT(*) FILTER (WHERE flag_type IS NOT NULL) as total_flags
FROM insight_feedback 
WHERE insight_id = 'insight-123'
GROUP BY insight_id;

-- Get rating distribution
SELECT 
    rating,
    COUNT(*) as count
FROM insight_feedback 
WHERE insight_id = 'insight-123' 
  AND rating IS NOT NULL
GROUP BY rating
ORDER BY rating;

-- Get recent comments
SELECT 
    user_id,
    comment,
    created_at
FROM insight_feedback 
WHERE insight_id = 'insight-123' 
  AND comment IS NOT NULL
ORDER BY created_at DESC
LIMIT 20;

-- Get flagged insights
SELECT 
    insight_id,
    COUNT(*) as flag_count,
    ARRAY_AGG(DISTINCT flag_type) as flag_types
FROM insight_feedback 
WHERE flag_type IS NOT NULL
GROUP BY insight_id
HAVING COUNT(*) >= 3
ORDER BY flag_count DESC;

-- Get recent CPU metrics for a service
SELECT 
    timestamp,
    metric_value
FROM system_metrics 
WHERE service_name = 'web-api' 
  AND metric_type = 'cpu'
  AND timestamp > NOW() - INTERVAL '1 hour'
ORDER BY timestamp DESC;

-- Aggregate metrics by hour
SELECT 
    DATE_TRUNC('hour', timestamp) as hour,
    AVG(metric_value) as avg_value,
    MIN(metric_value) as min_value,
    MAX(metric_value) as max_value
FROM system_metrics 
WHERE service_name = 'web-api' 
  AND metric_type = 'latency'
  AND timestamp > NOW() - INTERVAL '24 hours'
GROUP BY hour
ORDER BY hour;

-- Get all metrics for a service at a point in time
SELECT 
    metric_type,
    metric_value,
    unit,
    metric_metadata
FROM system_metrics 
WHERE service_name = 'feature-engine' 
  AND timestamp BETWEEN '2024-01-15 14:00:00' AND '2024-01-15 14:05:00'
ORDER BY metric_type;

-- Find services with high CPU usage
SELECT 
    service_name,
    AVG(metric_value) as avg_cpu
FROM system_metrics 
WHERE metric_type = 'cpu' 
  AND timestamp > NOW() - INTERVAL '1 hour'
GROUP BY service_name
HAVING AVG(metric_value) > 80
ORDER BY avg_cpu DESC;

-- Check database size
SELECT pg_size_pretty(pg_database_size('utxoiq'));

-- Check table sizes
SELECT 
    schemaname,
    tablename,
    pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) AS size
FROM pg_tables
WHERE schemaname = 'public'
ORDER BY pg_total_relation_size(schemaname||'.'||tablename) DESC;
