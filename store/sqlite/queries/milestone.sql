SELECT m.at FROM milestones AS m WHERE m.name = ?1
