<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

/** One attempt at a slow job; a job that was run twice has two. */
final class SlowJobRun extends Model
{
    public $timestamps = false;

    protected $guarded = [];

    protected $casts = ['started_at' => 'datetime', 'finished_at' => 'datetime'];
}
