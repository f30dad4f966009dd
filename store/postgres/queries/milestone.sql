SELECT m.at, clock_timestamp() - m.at AS age FROM milestones AS m WHERE m.name = $1
